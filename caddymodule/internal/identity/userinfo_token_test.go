package identity

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// tokens is a Verifier of the tokens in it, and a UserinfoClient that responds to each
// with the same member, sent as the header Authorization.
type tokens struct {
	claims    map[string]string
	responses map[string]string
	verified  int
	sent      []string
}

func (v *tokens) Verify(_ context.Context, token, _ string) (claims.Document, error) {
	v.verified++
	text, ok := v.claims[strings.TrimPrefix(token, "Bearer ")]
	if !ok {
		return claims.Document{}, ErrAssertionSignature
	}
	return claims.Parse([]byte(text))
}

func (v *tokens) Fetch(_ context.Context, _ string, header http.Header) (claims.Document, error) {
	v.sent = append(v.sent, header.Get("Authorization"))
	return claims.Parse([]byte(v.responses[strings.TrimPrefix(header.Get("Authorization"), "Bearer ")]))
}

// responses is a UserinfoCache without limits.
type responses map[string]claims.Document

func (r responses) Get(token string) (claims.Document, bool) { d, ok := r[token]; return d, ok }

func (r responses) Put(token string, d claims.Document, expiry time.Time) {
	if expiry.Unix() == 2000000000 {
		r[token] = d
	}
}

func withVerify(t testing.TB, v *tokens, c UserinfoConfig) *Identifier {
	t.Helper()
	c.Verify, c.Verifier, c.Client, c.Email = true, v, v, "email"
	i, err := NewUserinfo(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func newTokens() *tokens {
	return &tokens{
		claims:    map[string]string{"a.b.c": `{"sub":"1","email":"token@x.io","exp":2000000000}`, "d.e.f": `{"email":"token@x.io","exp":2000000000}`},
		responses: map[string]string{"a.b.c": `{"sub":"1","email":"a@x.io","name":"Ada"}`, "d.e.f": `{"email":"d@x.io"}`},
	}
}

// TestToken is about where the token is read and how it is sent.
func TestToken(t *testing.T) {
	for _, tt := range []struct {
		source string
		header http.Header
		sent   string
		want   *Rejection
	}{
		{"", http.Header{"Authorization": {"Bearer a.b.c"}}, "Bearer a.b.c", nil},
		{"authorization", http.Header{"Authorization": {"a.b.c"}}, "a.b.c", nil},
		{"X-Token", http.Header{"X-Token": {"a.b.c"}, "Authorization": {"Bearer d.e.f"}}, "Bearer a.b.c", nil},
		{"X-Token", http.Header{"X-Token": {"Bearer a.b.c"}}, "Bearer a.b.c", nil},
		{"{http.request.header.X-Token}", http.Header{"X-Token": {"a.b.c"}}, "Bearer a.b.c", nil},
		{"{http.request.cookie.t}", http.Header{"Cookie": {"s=1; t=a.b.c"}}, "Bearer a.b.c", nil},
		{"", http.Header{"Authorization": {"Bearer x.y.z"}}, "", ErrAssertionSignature},
		{"", http.Header{"Cookie": {"t=a.b.c"}}, "", ErrNoHeader.forToken()},
		{"", http.Header{"Authorization": {" "}}, "", ErrEmpty.forToken()},
		{"", http.Header{"Authorization": {"Bearer a.b.c", "Bearer a.b.c"}}, "", ErrDuplicateHeader.forToken()},
		{"{http.request.cookie.t}", http.Header{"Authorization": {"Bearer a.b.c"}}, "", ErrNoCookie.forToken()},
		{"{http.request.cookie.t}", http.Header{"Cookie": {"t=a.b.c", "t=a.b.c"}}, "", ErrDuplicateCookie.forToken()},
		{"{http.request.cookie.t}", http.Header{"Cookie": {"t=Bearer a.b.c"}}, "", ErrAssertionMalformed},
	} {
		v := newTokens()
		i := withVerify(t, v, UserinfoConfig{Token: tt.source})
		r := &Request{Header: tt.header}
		if tt.want != nil {
			wantRejection(t, i, r, tt.want)
		} else {
			wantUser(t, i, r, "a@x.io")
			_, _ = i.Names(t.Context(), r)
			_ = i.Explain(t.Context(), r)
		}
		if got := strings.Join(v.sent, "|"); got != tt.sent {
			t.Errorf("%q %v: sent %q, want %q", tt.source, tt.header, got, tt.sent)
		}
	}
}

// TestTokenSubject checks that a response about another user is rejected, and that no
// value is read from the token.
func TestTokenSubject(t *testing.T) {
	for _, tt := range []struct {
		token, response string
		want            *Rejection
		id              string
	}{
		{"a.b.c", `{"sub":"1","email":"a@x.io"}`, nil, "1"},
		{"a.b.c", `{"email":"a@x.io"}`, nil, ""},
		{"a.b.c", `[{"email":"a@x.io"}]`, ErrNoClaim, ""},
		{"a.b.c", `{"sub":["1"],"email":"a@x.io"}`, ErrUserinfoSubject, ""},
		{"d.e.f", `{"sub":"1","email":"a@x.io"}`, ErrUserinfoSubject, ""},
		{"d.e.f", `{"sub":null,"email":"a@x.io"}`, ErrUserinfoSubject, ""},
		{"d.e.f", `{"email":"a@x.io"}`, nil, ""},
	} {
		v := newTokens()
		v.responses[tt.token] = tt.response
		r := &Request{Header: http.Header{"Authorization": {"Bearer " + tt.token}}}
		i := withVerify(t, v, UserinfoConfig{})
		if tt.want != nil {
			wantRejection(t, i, r, tt.want)
			continue
		}
		if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != tt.id {
			t.Errorf("%s: id %q, want %q", tt.response, u.ID.Reveal(), tt.id)
		}
	}
	// With ByID, the id is not replaced by the token's sub either.
	v := newTokens()
	i := withVerify(t, v, UserinfoConfig{ByID: true})
	r := func() *Request { return &Request{Header: http.Header{"Authorization": {"Bearer a.b.c"}}} }
	wantID(t, i, r(), "1", "a@x.io")
	v.responses["a.b.c"] = `{"email":"a@x.io"}`
	wantRejection(t, i, r(), ErrNoClaim.forUserID())
}

// TestTokenCache checks that a kept response never replaces the verification, and that
// only responses that led to a user are kept.
func TestTokenCache(t *testing.T) {
	v, kept := newTokens(), make(responses)
	i := withVerify(t, v, UserinfoConfig{Cache: kept, Domains: []string{"x.io"}})
	r := func() *Request { return &Request{Header: http.Header{"Authorization": {"Bearer a.b.c"}}} }
	good := v.responses["a.b.c"]
	for response, want := range map[string]*Rejection{
		`{"sub":"2","email":"a@x.io"}`: ErrUserinfoSubject, `{"sub":"1"}`: ErrNoClaim, `x`: ErrUserinfoUnavailable,
		`{"sub":"1","email":"a@y.io"}`: ErrDomainNotAllowed, `{"sub":"1","email":"a@x.io","email_verified":false}`: ErrEmailDenied,
	} {
		v.responses["a.b.c"] = response
		wantRejection(t, i, r(), want)
		if len(kept) != 0 {
			t.Fatalf("%s is kept", response)
		}
	}
	v.responses["a.b.c"], v.sent, v.verified = good, nil, 0
	for range 3 {
		wantUser(t, i, r(), "a@x.io")
	}
	if len(v.sent) != 1 || v.verified != 3 {
		t.Errorf("%d calls and %d verifications, want 1 and 3", len(v.sent), v.verified)
	}
	all := maps.Clone(v.claims)
	v.claims["a.b.c"] = `{"sub":"2","exp":2000000000}` // as if the same text were another user's
	wantRejection(t, i, r(), ErrUserinfoSubject)
	delete(v.claims, "a.b.c")
	wantRejection(t, i, r(), ErrAssertionSignature)

	// A token whose expiry is not a number of seconds is not kept.
	clear(kept)
	for _, exp := range []string{`"2000000000"`, `1e300`, `null`} {
		v.claims = all
		v.claims["a.b.c"] = `{"sub":"1","exp":` + exp + `}`
		wantUser(t, i, r(), "a@x.io")
	}
	if len(kept) != 0 {
		t.Error("kept")
	}
}

func TestTokenConfig(t *testing.T) {
	for source, want := range map[string]string{
		"{http.auth.user.id}":           "token: must be the name of a request header or the placeholder of a cookie",
		"{http.request.cookie.a} b":     "token: ",
		"X Token":                       "token: ",
		"Host":                          "token: Host",
		"{env.TOKEN}":                   "token: ",
		"{http.vars.token}":             "token: must be the name",
		"{http.request.uri.query.t}":    "token: ",
		"X_Token":                       "token: Caddy drops the request header",
		"{http.reverse_proxy.header.X}": "token: must be the name",
	} {
		v := newTokens()
		_, err := NewUserinfo(UserinfoConfig{Verify: true, Verifier: v, Client: v, Email: "email", Token: source})
		wantError(t, err, want)
	}
}
