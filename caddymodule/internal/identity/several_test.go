package identity

import (
	"testing"
)

// TestSeveralClaims checks that the first claim that is present and neither null nor
// empty is used. If it is invalid, no later one is tried.
func TestSeveralClaims(t *testing.T) {
	i := mustNew(t, Config{
		Email: "Authorization email preferred_username ns.upn", UserID: "Authorization oid sub", Name: "Authorization full\\ name name",
		Verify: true, Verifier: payloads{},
	})
	for _, tt := range []struct {
		document, want string
		rejection      *Rejection
	}{
		{`{"email":"a@x.io","preferred_username":"b@x.io","ns":{"upn":"c@x.io"}}`, "a@x.io", nil},
		{`{"preferred_username":"b@x.io","ns":{"upn":"c@x.io"}}`, "b@x.io", nil},
		{`{"ns":{"upn":"c@x.io"}}`, "c@x.io", nil},
		{`{"email":null,"preferred_username":"b@x.io"}`, "b@x.io", nil},
		{`{"email":"","preferred_username":"b@x.io"}`, "b@x.io", nil},
		{`{"email":" \t","preferred_username":"b@x.io"}`, "b@x.io", nil},
		{`{"email":[],"preferred_username":[null],"ns":{"upn":["c@x.io"]}}`, "c@x.io", nil},
		{`{"email":"alice","preferred_username":"b@x.io"}`, "", ErrNotAddress},
		{`{"email":"a@x.io, b@x.io","preferred_username":"b@x.io"}`, "", ErrNotAddress},
		{`{"email":7,"preferred_username":"b@x.io"}`, "", ErrNotText},
		{`{"email":false,"preferred_username":"b@x.io"}`, "", ErrNotText},
		{`{"email":{},"preferred_username":"b@x.io"}`, "", ErrNotText},
		{`{"email":["a@x.io","a2@x.io"],"preferred_username":"b@x.io"}`, "", ErrNotText},
		{`{"email":"a@x.io","email_verified":false,"preferred_username":"b@x.io"}`, "", ErrEmailDenied},
		{`{"email":"","email_verified":false,"preferred_username":"b@x.io"}`, "", ErrEmailDenied},
		{`{"preferred_username":"b@x.io","preferred_username_verified":false,"ns":{"upn":"c@x.io"}}`, "", ErrEmailDenied},
		{`{"ns":{"upn":"c@x.io","verified":false}}`, "", ErrEmailDenied},
		{`{"ns":{"upn":"c@x.io"},"email_verified":false}`, "", ErrEmailDenied},
		{`{"email":"","preferred_username":null}`, "", ErrEmpty},
		{`{"username":"b@x.io"}`, "", ErrNoClaim},
	} {
		r := fromProxy("Authorization", tt.document)
		if tt.rejection != nil {
			wantRejection(t, i, r, tt.rejection)
			continue
		}
		wantUser(t, i, r, tt.want)
	}
	r := fromProxy("Authorization", `{"email":"a@x.io","oid":"","sub":"u-1","full name":null,"name":"Alice Miller"}`)
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "u-1" {
		t.Errorf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, "Alice", "Miller")
	_, err := New(Config{Email: "X-Doc email a..b", Trust: trustProxy()})
	wantError(t, err, "email: ", `path "a..b"`)
	// A list of several users is not skipped either.
	i = mustNew(t, Config{Email: "X-Doc data.0.email email", Trust: trustProxy()})
	wantRejection(t, i, fromProxy("X-Doc", `{"data":[{},{}],"email":"a@x.io"}`), ErrMultipleValues)
}

// TestExplainUsedPath checks which path Explain names as that of the address.
func TestExplainUsedPath(t *testing.T) {
	several := mustNew(t, Config{Email: "Authorization email preferred_username", Verify: true, Verifier: payloads{}})
	entra := mustNew(t, Config{Preset: "entra", Verify: true, Verifier: payloads{}, Domains: []string{"x.io"}})
	assumed := mustNew(t, Config{Preset: "entra", Verified: "assumed", Verifier: payloads{}})
	for _, tt := range []struct {
		i              *Identifier
		document, want string
	}{
		{several, `{"email":"a@x.io","preferred_username":"b@x.io"}`, "email"},
		{several, `{"email":"","preferred_username":"b@x.io"}`, "preferred_username"},
		{several, `{"email":7,"preferred_username":"b@x.io"}`, ""},
		{several, `{}`, ""},
		{entra, `{"email":"a@x.io","preferred_username":"b@x.io"}`, "email"},
		{entra, `{"email":"a@evil.io","xms_edov":false,"preferred_username":"b@x.io"}`, "preferred_username"},
		{entra, `{"email":"a@evil.io","upn":"b@x.io"}`, "upn"},
		{entra, `{"preferred_username":"a@x.io","upn":"b@x.io"}`, "preferred_username"},
		{assumed, `{"email":"a@evil.io","preferred_username":"b@x.io"}`, "email"},
	} {
		values := tt.i.Explain(t.Context(), fromProxy("Authorization", tt.document))
		if values[0].Option != "email" || values[0].Path != tt.want {
			t.Errorf("%s: %s from %q, want %q", tt.document, values[0].Option, values[0].Path, tt.want)
		}
	}
}

// TestTwoDocuments checks that each value is read from the document of its own header.
func TestTwoDocuments(t *testing.T) {
	i := mustNew(t, Config{Email: "X-Mail email", UserID: "X-Account id", Name: "X-Mail name", Verified: "X-Account confirmed", Trust: trustProxy()})
	mail := `{"email":"a@x.io","id":"u-2","name":"Alice","confirmed":true}`
	r := fromProxy("X-Mail", mail, "X-Account", `{"email":"b@x.io","id":"u-1","name":"Bob","confirmed":true}`)
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "u-1" {
		t.Errorf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, "Alice", "")
	r = fromProxy("X-Mail", mail, "X-Account", `{"email":"b@x.io","id":"u-1","name":"Bob","confirmed":false}`)
	wantRejection(t, i, r, ErrEmailUnverified)
}
