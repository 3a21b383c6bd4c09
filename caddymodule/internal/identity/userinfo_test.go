package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// application is a UserinfoClient with a fixed response.
type application struct {
	response string
	err      error
	calls    int
}

func (a *application) Fetch(context.Context, string, http.Header) (claims.Document, error) {
	a.calls++
	if a.err != nil {
		return claims.Document{}, a.err
	}
	return claims.ParseLatin1([]byte(a.response))
}

func TestUserinfo(t *testing.T) {
	app := new(application)
	i, err := NewUserinfo(UserinfoConfig{Client: app, Email: "data.0.email", UserID: "data.0.id", Name: "data.0.name", Domains: []string{"x.io"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		name      string
		rejection *Rejection
		id        string
	}{
		{`{"data":[{"email":"a@x.io","id":"u-1","name":"Alice Miller"}]}`, nil, "u-1"},
		{`{"data":[{"email":"a@x.io","id":17}]}`, nil, "17"},
		{`{"data":[{"email":"a@x.io","id":1e3}]}`, nil, ""},
		{`{"data":[{"email":"a@x.io","id":-1}]}`, nil, ""},
		{`{"data":[{"email":"a@x.io","email_verified":true}]}`, nil, ""},
		{`{"data":[{"email":"a@x.io","email_verified":null}]}`, nil, ""},
		{`{"data":[{"email":["a@x.io"]}]}`, nil, ""},
		{`{"data":[{"email":"a@x.io"},{"email":"b@x.io"}]}`, ErrMultipleValues, ""},
		{`{"data":[{"email":"a@x.io"},null]}`, ErrMultipleValues, ""},
		{`{"data":[{},{"email":"b@x.io"}]}`, ErrMultipleValues, ""},
		{`{"data":[]}`, ErrNoClaim, ""},
		{`{"data":{}}`, ErrNoClaim, ""},
		{`{"data":[{"email":null}]}`, ErrNoClaim, ""},
		{`{"data":[{"email":""}]}`, ErrEmpty, ""},
		{`{"data":[{"email":" "}]}`, ErrEmpty, ""},
		{`{"data":[{"email":7}]}`, ErrNotText, ""},
		{`{"data":[{"email":["a@x.io","b@x.io"]}]}`, ErrNotText, ""},
		{`{"data":[{"email":{"a":"a@x.io"}}]}`, ErrNotText, ""},
		{`{"data":[{"email":"alice"}]}`, ErrNotAddress, ""},
		{`{"data":[{"email":"a@x.io","email_verified":false}]}`, ErrEmailDenied, ""},
		{`{"data":[{"email":"a@x.io","email_verified":"false"}]}`, ErrEmailDenied, ""},
		{`{"data":[{"email":"a@x.io","emailVerified":0.0}]}`, ErrEmailDenied, ""},
		{`{"data":[{"email":"a@x.io","emailVerified":"2026-01-01T00:00:00Z"}]}`, nil, ""},
		{`{"data":[{"email":"a@x.io","verified":false}]}`, ErrEmailDenied, ""},
		{`{"data":[{"email":"a@x.io","is_verified":[false]}]}`, ErrEmailDenied, ""},
		{`{"data":[{"email":"a@x.io","verified":true}]}`, nil, ""},
		{`{"data":[{"email":"a@y.io"}]}`, ErrDomainNotAllowed, ""},
	} {
		app.response, app.calls = want.name, 0
		r := withPlaceholders(nil)
		if want.rejection != nil {
			wantRejection(t, i, r, want.rejection)
			continue
		}
		if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != want.id {
			t.Errorf("%s: id %q, want %q", want.name, u.ID.Reveal(), want.id)
		}
		_, _ = i.Names(context.Background(), r)
		if app.calls != 1 {
			t.Errorf("%d calls of the application", app.calls)
		}
	}
	for err, want := range map[error]*Rejection{ErrUnauthenticated: ErrUnauthenticated, ErrNoCredentials: ErrNoCredentials, errors.New("odd"): ErrUserinfoUnavailable} {
		app.err = err
		wantRejection(t, i, withPlaceholders(nil), want)
	}
}

// An address in a namespaced claim has its email_verified in the same object.
func TestUnverifiedNamespace(t *testing.T) {
	i := mustNew(t, Config{Email: `X-A https://clinic\.example/email`, Trust: trustProxy()})
	wantUser(t, i, fromProxy("X-A", `{"https://clinic.example/email":"a@x.io","https://clinic.example/email_verified":true}`), "a@x.io")
	wantRejection(t, i, fromProxy("X-A", `{"https://clinic.example/email":"a@x.io","https://clinic.example/email_verified":false}`), ErrEmailDenied)
}

func TestUserinfoVerified(t *testing.T) {
	app := new(application)
	i, err := NewUserinfo(UserinfoConfig{Client: app, Email: "email", Verified: "confirmed"})
	if err != nil {
		t.Fatal(err)
	}
	for response, want := range map[string]*Rejection{
		`true`: nil, `"yes"`: nil, `1`: nil, `[true]`: ErrEmailUnverified, `["true"]`: nil, `"2026-01-01"`: nil,
		`false`: ErrEmailUnverified, `0`: ErrEmailUnverified, `2`: ErrEmailUnverified, `null`: ErrEmailUnverified,
	} {
		app.response = `{"email":"a@x.io","confirmed":` + response + `}`
		if want == nil {
			wantUser(t, i, withPlaceholders(nil), "a@x.io")
		} else {
			wantRejection(t, i, withPlaceholders(nil), want)
		}
	}
}

func TestUserinfoConfig(t *testing.T) {
	for parts, c := range map[string]UserinfoConfig{
		"email: |user.email": {},
		"email: |path":       {Email: "a..b"},
		"name: |path":        {Email: "email", Name: `a\b`},
		"domains: ":          {Email: "email", Domains: []string{"*.x.io"}},
	} {
		_, err := NewUserinfo(c)
		wantError(t, err, strings.Split(parts, "|")...)
	}
}
