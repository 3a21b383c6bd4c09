package identity

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// payloads is a Verifier that accepts everything, to test the handling of the claims.
type payloads struct{}

func (payloads) Verify(_ context.Context, token, _ string) (claims.Document, error) {
	if token == "forged" {
		return claims.Document{}, ErrAssertionSignature
	}
	return claims.Parse([]byte(token))
}

func TestPresets(t *testing.T) {
	all := presets.All()
	if !slices.IsSortedFunc(all, func(a, b presets.Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	all[0].Name = "changed"
	if presets.All()[0].Name == "changed" {
		t.Error("a caller can change the table")
	}
	for _, p := range presets.All() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Note == "" {
				t.Error("the preset has no Note")
			}
			_, plain := presetWant[p.Name]
			_, signed := signedWant[p.Name]
			if plain != (p.Sources.Email.From != "") || signed != (p.Signed.Email.From != "") || !plain && !signed {
				t.Fatalf("in presetWant: %t, in signedWant: %t; want it in those for which the preset has sources", plain, signed)
			}
			switch {
			case plain && p.NeedsTrust():
				testHeaderPreset(t, p)
			case plain:
				testPlaceholderPreset(t, p)
			}
			if signed {
				testSignedPreset(t, p)
				return
			}
			_, err := New(Config{Preset: p.Name, Verify: true, Verifier: payloads{}, Trust: trustProxy()})
			wantError(t, err, "verify: the preset "+p.Name, "email Authorization email")
		})
	}
}

func testPlaceholderPreset(t *testing.T, p presets.Preset) {
	want := presetWant[p.Name]
	i := mustNew(t, Config{Preset: p.Name})
	fill := func() placeholders {
		known := placeholders{"http.auth.user.id": ""}
		for source, value := range want.filled {
			known[source[1:len(source)-1]] = value
		}
		return known
	}
	email := strings.Trim(p.Sources.Email.From, "{}")

	if u := wantUser(t, i, withPlaceholders(fill()), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, withPlaceholders(fill()), want.first, want.last)
	wantRejection(t, i, withPlaceholders(nil), ErrNoAuthentication)
	for value, rejection := range map[any]*Rejection{"": ErrEmpty, "alice": ErrNotAddress, "a@x.io,b@x.io": ErrNotAddress, 7: ErrNotText} {
		known := fill()
		known[email] = value
		wantRejection(t, i, withPlaceholders(known), rejection)
	}
	// Headers of the request are not read here.
	r := fromProxy(headersOfAllPresets("")...)
	r.Placeholders, r.TrustedProxy = placeholders(nil), true
	wantRejection(t, i, r, ErrNoAuthentication)
}

// headersOfAllPresets returns the headers that the layers of all presets but one may
// send.
func headersOfAllPresets(but string) (pairs []string) {
	for _, p := range presets.All() {
		if p.Name == but {
			continue
		}
		for _, name := range p.Headers() {
			pairs = append(pairs, name, "evil@x.io")
		}
	}
	return pairs
}

func testHeaderPreset(t *testing.T, p presets.Preset) {
	want := presetWant[p.Name]
	var pairs []string
	for name, value := range want.filled {
		pairs = append(pairs, name, value)
	}
	email := p.Sources.Email.From
	mine := want.filled[email]

	_, err := New(Config{Preset: p.Name})
	wantError(t, err, "email ("+email+")", `"trust forward_auth"`, `"trust proxies <ranges>"`)
	if verify := strings.Contains(err.Error(), "verify {"); verify != (p.Signed.Email.From != "") {
		t.Errorf("verify suggested: %t: %v", verify, err)
	}

	i := mustNew(t, Config{Preset: p.Name, Trust: trustProxy()})
	if u := wantUser(t, i, fromProxy(pairs...), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, fromProxy(pairs...), want.first, want.last)
	wantRejection(t, i, fromProxy(email, ""), ErrEmpty)
	wantRejection(t, i, fromProxy(email, " "), ErrEmpty)
	wantRejection(t, i, fromProxy(), ErrNoHeader)
	wantRejection(t, i, fromProxy(email, mine, email, mine), ErrDuplicateHeader)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "_"), mine), ErrNoHeader)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "."), mine), ErrNoHeader)
	if p.Sources.Email.Paths == nil {
		wantRejection(t, i, fromProxy(email, mine+", b@x.io"), ErrNotAddress)
	} else {
		wantRejection(t, i, fromProxy(email, "a@x.io"), ErrNotDocument)
		wantRejection(t, i, fromProxy(email, b64(`{}`)), ErrNoClaim)
	}
	stranger := fromProxy(pairs...)
	stranger.RemoteAddr = untrustedPeer
	wantRejection(t, i, stranger, ErrUntrustedPeer)
	others := headersOfAllPresets(p.Name) // not read: a preset reads no header of another one
	for n := 0; n < len(others); n += 2 {
		if others[n] != email {
			wantRejection(t, i, fromProxy(others[n], "evil@x.io"), ErrNoHeader)
		}
	}

	forwardAuth := mustNew(t, Config{Preset: p.Name, Trust: Trust{Mode: TrustForwardAuth}})
	r := fromProxy(email, "evil@x.io")
	r.Placeholders = respondedBy("auth:9000", pairs...)
	if u := wantUser(t, forwardAuth, r, "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, forwardAuth, r, want.first, want.last)
	r = fromProxy(email, "evil@x.io")
	r.Placeholders = respondedBy("auth:9000")
	wantRejection(t, forwardAuth, r, ErrNoResponseHeader)
}

// signedConfig returns a config with which a preset reads tokens.
func signedConfig(p presets.Preset) Config {
	c := Config{Preset: p.Name, Verify: true, Verifier: payloads{}}
	if p.Provider != nil && p.StatesNothing() {
		c.Verified = "assumed"
	}
	return c
}

func testSignedPreset(t *testing.T, p presets.Preset) {
	want := signedWant[p.Name]
	verified := signedConfig(p)
	i := mustNew(t, verified)
	request := func(values ...string) *Request {
		r := fromProxy(headersOfAllPresets(p.Name)...) // not read here
		for _, v := range values {
			r.Header.Add(want.header, v)
		}
		r.RemoteAddr = untrustedPeer // accepted from any peer
		return r
	}
	r := request(want.payload)
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, want.first, want.last)
	wantNames(t, i, request(want.payload), want.first, want.last)
	wantRejection(t, i, request(), ErrNoHeader)
	wantRejection(t, i, request(""), ErrEmpty)
	wantRejection(t, i, request("forged"), ErrAssertionSignature)
	wantRejection(t, i, request(want.payload, want.payload), ErrDuplicateHeader)
	wantRejection(t, i, request(`{"aud":"me"}`), ErrNoClaim)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, "a@x.io", "")), ErrEmpty)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, `"a@x.io"`, "7")), ErrNotText)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, "{", `{"email_verified":false,"emailVerified":false,`)), firstRejection(want.payload))
	// The plain headers that the layer sends in addition are not trusted.
	plain := request()
	for source, value := range presetWant[p.Name].filled {
		if source != want.header {
			plain.Header.Set(source, value)
		}
	}
	wantRejection(t, i, plain, ErrNoHeader)

	if p.Sources.Email.From == "" && p.Provider == nil {
		_, err := New(Config{Preset: p.Name, Trust: trustProxy()})
		wantError(t, err, "identity: the preset "+p.Name, "verify { … }", map[string]string{"aws_alb": "with signer", "teleport": "with jwks, issuer, audience"}[p.Name])
	}
	// With trust proxies the assertion must also come from a proxy.
	verified.Trust = trustProxy()
	wantRejection(t, mustNew(t, verified), request(want.payload), ErrUntrustedPeer)
	// With trust forward_auth the assertion is read from the auth server's response.
	verified.Trust = Trust{Mode: TrustForwardAuth}
	forwardAuth := mustNew(t, verified)
	r = request(`{"email":"evil@x.io"}`)
	r.Placeholders = respondedBy("auth:9000", want.header, want.payload)
	wantUser(t, forwardAuth, r, "a@x.io")
	r = request(want.payload)
	r.Placeholders = respondedBy("auth:9000")
	wantRejection(t, forwardAuth, r, ErrNoResponseHeader)
}

// firstRejection returns the rejection of a payload to which email_verified is added:
// if the payload has that member already, it is a duplicate and cannot be parsed.
func firstRejection(payload string) *Rejection {
	if strings.Contains(payload, "email_verified") {
		return ErrAssertionMalformed
	}
	return ErrEmailDenied
}

func TestConfiguredSourceWinsOverPreset(t *testing.T) {
	i := mustNew(t, Config{Preset: "basic_auth", Email: "{user_email}", Name: "{user_name}"})
	r := withPlaceholders(placeholders{"http.auth.user.id": "alice", "user_email": "a@x.io", "user_name": "Alice Miller"})
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "alice" {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, "Alice", "Miller")
	// No source replaces another one.
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "a@x.io"}), ErrUnset)
}

// A login at an identity provider is not an address, whatever it looks like.
func TestPresetLogins(t *testing.T) {
	for _, login := range []string{"alice@github", "alice@passkey"} {
		wantRejection(t, mustNew(t, Config{Preset: "tailscale", Trust: trustProxy()}), fromProxy("Tailscale-User-Login", login), ErrNotAddress)
		wantRejection(t, mustNew(t, Config{Preset: "caddy_tailscale"}), withPlaceholders(placeholders{"http.auth.user.tailscale_user": login}), ErrNotAddress)
	}
	wantUser(t, mustNew(t, Config{Preset: "authelia", Trust: trustProxy()}), fromProxy("Remote-Email", "root@localhost"), "root@localhost")
	wantUser(t, mustNew(t, Config{Preset: "tailscale", Email: "Remote-Email", Trust: trustProxy()}), fromProxy("Remote-Email", "root@localhost"), "root@localhost")
}

func TestVerifyNeedsAnAssertion(t *testing.T) {
	trust := trustProxy()
	for _, tt := range []struct {
		name   string
		config Config
		parts  []string
	}{
		{"a plain header", Config{Email: "X-Email"}, []string{"email: ", "email Authorization email"}},
		{"a placeholder", Config{Email: "{user_email}"}, []string{"email: ", "email Authorization email"}},
		{"two assertions", Config{Email: "X-A email", UserID: "X-B sub"}, []string{"user_id: ", "another assertion"}},
		{"a plain name", Config{Email: "X-A email", Name: "X-Name"}, []string{"name (X-Name)", "trust"}},
		{"a broken path", Config{Email: "X-A a..b"}, []string{"email: ", "path"}},
		{"a dropped one", Config{Email: "X_A email"}, []string{"email: ", "expected_underscore_headers"}},
		{"a plain cookie", Config{Email: "{http.request.cookie.session}"}, []string{"email: ", "email Authorization email"}},
		{"two cookies", Config{Email: "{http.request.cookie.a} email", UserID: "{http.request.cookie.b} sub"}, []string{"user_id: ", "another assertion"}},
		{"none whatsoever", Config{}, []string{"email: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Verify, tt.config.Verifier = true, payloads{}
			_, err := New(tt.config)
			wantError(t, err, tt.parts...)
		})
	}
	// A source next to the assertion is subject to its own trust rules.
	i := mustNew(t, Config{Email: "Authorization user.email", Name: "X-Name", Verify: true, Verifier: payloads{}, Trust: trust})
	r := fromProxy("Authorization", `{"user":{"email":"a@x.io"}}`, "X-Name", "Alice Miller")
	wantUser(t, i, r, "a@x.io")
	wantNames(t, i, r, "Alice", "Miller")
}
