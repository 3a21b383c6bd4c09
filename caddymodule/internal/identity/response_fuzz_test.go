package identity

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzTokenResponse verifies a token with arbitrary claims and calls an application with
// an arbitrary response. A user is accepted only with the address in the response, and
// only if the response is not about another user.
func FuzzTokenResponse(f *testing.F) {
	for _, s := range []string{
		`{"sub":"1","email":"a@x.io"}`, `{"sub":"2","email":"a@x.io"}`, `{"email":"a@x.io"}`, `{"sub":null,"email":"a@x.io"}`, `{"sub":1}`,
		`{"sub":"1","sub":"2","email":"a@x.io"}`, `[{"email":"a@x.io"}]`, `null`, `{"Sub":"2","email":"a@x.io","email_verified":false}`, "{\"email\":\"\xf6@x.io\"}", ``,
	} {
		f.Add([]byte(`{"sub":"1","exp":2000000000}`), []byte(s))
		f.Add([]byte(s), []byte(`{"sub":"1","email":"a@x.io"}`))
	}
	f.Fuzz(func(t *testing.T, token, response []byte) {
		var claims, said map[string]any
		if json.Unmarshal(token, &claims) != nil || !utf8.Valid(token) {
			return // a Verifier accepts only objects in UTF-8
		}
		v := &tokens{claims: map[string]string{"a.b.c": string(token)}, responses: map[string]string{"a.b.c": string(response)}}
		kept := make(responses)
		i := withVerify(t, v, UserinfoConfig{Cache: kept})
		r := func() *Request { return &Request{Header: http.Header{"Authorization": {"Bearer a.b.c"}}} }
		u, err := i.Identify(t.Context(), r())
		if err != nil {
			if len(kept) != 0 {
				t.Fatal("the response is kept, although the user is rejected")
			}
			return
		}
		if json.Unmarshal(response, &said) != nil {
			t.Fatalf("accepted %q with %q", token, response)
		}
		if !utf8.Valid(response) { // read as Latin-1, which encoding/json does not do
			return
		}
		if sub, ok := said["sub"]; ok && (sub != claims["sub"] || sub == nil) {
			t.Fatalf("accepted %q with %q", token, response)
		}
		if email, ok := said["email"].(string); ok && strings.Trim(email, " \t") != u.Email.Reveal() {
			t.Fatalf("%q is not %q", u.Email.Reveal(), email)
		}
		again, err := i.Identify(t.Context(), r())
		if err != nil || again.Email.Reveal() != u.Email.Reveal() || again.ID.Reveal() != u.ID.Reveal() {
			t.Fatalf("the second time: %v", err)
		}
	})
}

// headers is an AuthServer that responds with these headers.
type headers http.Header

func (h headers) Check(context.Context, AuthRequest) (http.Header, error) { return http.Header(h), nil }

// FuzzAuthServer reads the user from arbitrary headers of an auth server's response. A
// user is accepted only if the header is there once, and only with the address in it.
func FuzzAuthServer(f *testing.F) {
	for _, s := range []string{"a@x.io", "a@x.io\nb@x.io", "a@x.io, b@x.io", "", "Ada <a@x.io>", " a@x.io\t", "a@x.io\r", "\xf6@x.io"} {
		f.Add(s, "Ada Lovelace")
		f.Add("a@x.io", s)
	}
	f.Fuzz(func(t *testing.T, emails, name string) {
		values := strings.Split(emails, "\n")
		i, err := New(Config{Email: "Remote-Email", Name: "Remote-Name", AuthServer: headers{"Remote-Email": values, "Remote-Name": {name}}})
		if err != nil {
			t.Fatal(err)
		}
		r := &Request{Header: http.Header{"Remote-Email": {"mallory@x.io"}}}
		u, err := i.Identify(t.Context(), r)
		if err != nil {
			return
		}
		if len(values) != 1 || strings.Trim(values[0], " \t") != u.Email.Reveal() || strings.Count(u.Email.Reveal(), "@") != 1 {
			t.Fatalf("accepted %q of %q", u.Email.Reveal(), values)
		}
		_, _ = i.Names(t.Context(), r)
	})
}
