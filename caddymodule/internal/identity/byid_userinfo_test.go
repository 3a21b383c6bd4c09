package identity

import (
	"context"
	"strings"
	"testing"
)

func TestByID_Userinfo(t *testing.T) {
	app := new(application)
	by := func(c UserinfoConfig) *Identifier {
		t.Helper()
		c.ByID, c.Client, c.UserID = true, app, "data.0.id"
		i, err := NewUserinfo(c)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	i := by(UserinfoConfig{Email: "data.0.email", Name: "data.0.name"})
	for _, want := range []struct {
		name      string
		rejection *Rejection
		id, email string
	}{
		{`{"data":[{"id":"u-1","email":"a@x.io"}]}`, nil, "u-1", "a@x.io"},
		{`{"data":[{"id":17,"email":"a@x.io"}]}`, nil, "17", "a@x.io"},
		{`{"data":[{"id":12345678901234567890123}]}`, nil, "12345678901234567890123", ""},
		{`{"data":[{"id":["u-1"],"email":""}]}`, nil, "u-1", ""},
		{`{"data":[{"id":"u-1","email":null}]}`, nil, "u-1", ""},
		{`{"data":[{"id":"u-1","email":17}]}`, nil, "u-1", ""},
		{`{"data":[{"id":"u-1","email":"alice","email_verified":false}]}`, nil, "u-1", ""},
		{`{"data":[{"id":"u-1","email_verified":false}]}`, nil, "u-1", ""},
		{`{"data":[{"id":"u-1","email":"a@x.io","email_verified":false}]}`, ErrEmailDenied, "", ""},
		{`{"data":[{"id":"u-1","email":"a@x.io","is_verified":0}]}`, ErrEmailDenied, "", ""},
		{`{"data":[{"email":"a@x.io"}]}`, ErrNoClaim.forUserID(), "", ""},
		{`{"data":[{"id":null}]}`, ErrNoClaim.forUserID(), "", ""},
		{`{"data":[{"id":" "}]}`, ErrEmpty.forUserID(), "", ""},
		{`{"data":[{"id":1e3}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":-1}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":1.0}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":true}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":[17]}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":["u-1","u-2"]}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":"u\u0000"}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":` + strings.Repeat("1", 257) + `}]}`, ErrNotID, "", ""},
		{`{"data":[{"id":"u-1"},{"id":"u-2"}]}`, ErrMultipleValues.forUserID(), "", ""},
		{`{"data":[]}`, ErrNoClaim.forUserID(), "", ""},
		{`{"data":[{"id":"u-1","id":"u-2"}]}`, ErrUserinfoUnavailable, "", ""},
		{`{"data":[{"id":"u-1","email":"a@x.io","email_verified":true,"name":"Alice"}]}`, nil, "u-1", "a@x.io"},
	} {
		app.response, app.calls = want.name, 0
		r := withPlaceholders(nil)
		if want.rejection != nil {
			wantRejection(t, i, r, want.rejection)
		} else {
			wantID(t, i, r, want.id, want.email)
		}
		_, _ = i.Names(context.Background(), r)
		if app.calls != 1 && want.rejection != ErrUserinfoUnavailable {
			t.Errorf("%s: %d calls of the application", want.name, app.calls)
		}
	}
	app.response = `{"data":[{"id":"u-1"}],"email":"a@x.io"}`
	wantID(t, by(UserinfoConfig{}), withPlaceholders(nil), "u-1", "")
	wantID(t, by(UserinfoConfig{Email: "data.0.id"}), withPlaceholders(nil), "u-1", "")
	wantRejection(t, by(UserinfoConfig{Email: "email", Domains: []string{"y.io"}}), withPlaceholders(nil), ErrDomainNotAllowed)
	wantRejection(t, by(UserinfoConfig{Email: "mail", Domains: []string{"x.io"}}), withPlaceholders(nil), ErrNoClaim)
	app.err = ErrUnauthenticated
	wantRejection(t, i, withPlaceholders(nil), ErrUnauthenticated)

	for parts, c := range map[string]UserinfoConfig{
		"user_id: |user_id user.id": {Email: "email"},
		"user_id: |path":            {UserID: "a..b"},
		"email: |path":              {UserID: "id", Email: "a..b"},
		"email: |domains":           {UserID: "id", Domains: []string{"x.io"}},
		"email: |verified":          {UserID: "id", Verified: "confirmed"},
	} {
		c.ByID = true
		_, err := NewUserinfo(c)
		wantError(t, err, strings.Split(parts, "|")...)
	}
}

func TestByID_Explain(t *testing.T) {
	i := mustNew(t, Config{ByID: true, Email: "{user_email}", UserID: "{user_id}", Verified: "{verified}", Domains: []string{"x.io"}})
	for _, tt := range []struct {
		name          string
		known         placeholders
		id, email     string
		noID, noEmail *Rejection
	}{
		{"both", placeholders{"user_id": "u-1", "user_email": "a@x.io"}, "u-1", "a@x.io", nil, nil},
		{"no address", placeholders{"user_id": "u-1", "user_email": "alice"}, "u-1", "", nil, ErrNotAddress},
		{"none at all", placeholders{"user_id": "u-1"}, "u-1", "", nil, ErrUnset},
		{"not let in", placeholders{"user_id": "u-1", "user_email": "a@y.io"}, "u-1", "a@y.io", nil, nil},
		{"no id", placeholders{"user_email": "a@x.io"}, "", "a@x.io", ErrUnset.forUserID(), nil},
		{"no usable id", placeholders{"user_id": "{user_id}", "user_email": "a@x.io"}, "", "a@x.io", ErrNotID, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := i.Explain(context.Background(), withPlaceholders(tt.known))
			if len(values) != 3 {
				t.Fatalf("%+v", values)
			}
			if f := values[0]; f.Option != "email" || f.Value.Reveal() != tt.email || f.Rejection != tt.noEmail {
				t.Errorf("email: %q, %v", f.Value.Reveal(), f.Rejection)
			}
			if f := values[1]; f.Option != "user_id" || f.Value.Reveal() != tt.id || f.Rejection != tt.noID {
				t.Errorf("user_id: %q, %v", f.Value.Reveal(), f.Rejection)
			}
		})
	}
	// The hint of a rejection about the id names the option user_id.
	for about, twin := range userIDVariants {
		if twin.Reason != about.Reason || strings.Contains(twin.Hint, "option email") || !strings.Contains(twin.Hint, "option user_id") {
			t.Errorf("%v of %v", twin, about)
		}
	}
	if ErrNoAuthentication.forUserID() != ErrNoAuthentication {
		t.Error("another ErrNoAuthentication, which the log looks for")
	}
}
