package identity

import (
	"context"
	"encoding/base64"
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

// signedConfig returns a config with which a preset reads tokens.
func signedConfig(p presets.Preset) Config {
	c := Config{Preset: p.Name, Verify: true, Verifier: payloads{}}
	if p.Provider != nil && p.StatesNothing() {
		c.Verified = "assumed"
	}
	return c
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
