package identify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// verifier returns the source of keys for an option verify, and the errors.
func verifier(v config.Verify) (source *assertion.Source, err error) {
	var p option.Errors
	New(&config.Common{Identity: &config.Identity{Email: "Authorization email", Verify: &v}}, Options{
		Keys: func(s assertion.Source) (*assertion.Keys, error) {
			source = &s
			return assertion.NewKeys(s, assertion.Log{})
		},
	}, &p)
	return source, p.Err()
}

// TestKeySource is about where the keys of an option verify come from.
func TestKeySource(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "one.pem"), filepath.Join(t.TempDir(), "two.pem")
	for _, file := range []string{one, two} {
		if err := os.WriteFile(file, testutil.CertificatePEM(testutil.SelfSigned(testutil.Loopback()).Leaf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const issuer, jwks = "https://login.example/", "https://login.example/keys"
	audience := []string{"clinic"}
	seen := make(map[string]string)
	for name, v := range map[string]config.Verify{
		"discovery":          {Issuer: issuer, Audience: audience},
		"jwks":               {Issuer: issuer, JWKS: jwks, Audience: audience},
		"discovery, ca":      {Issuer: issuer, Audience: audience, CA: one},
		"discovery, another": {Issuer: issuer, Audience: audience, CA: two},
		"jwks, ca":           {Issuer: issuer, JWKS: jwks, Audience: audience, CA: one},
	} {
		source, err := verifier(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (source.Issuer != "") != (v.JWKS == "") || source.URL != v.JWKS || (source.Transport != nil) != (v.CA != "") {
			t.Errorf("%s: %+v", name, source)
		}
		key := poolKey(*source)
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s share keys", name, other)
		}
		seen[key] = name
	}
	for _, test := range []struct {
		v    config.Verify
		want string
	}{
		{config.Verify{Issuer: issuer, Audience: audience, CA: filepath.Join(t.TempDir(), "none")}, "ca: "},
		{config.Verify{Issuer: issuer, Audience: audience, CA: os.DevNull}, "ca: "},
		{config.Verify{Issuer: "clinic", Audience: audience}, "issuer: must be a URL that begins with https://"},
		{config.Verify{Issuer: "clinic", Audience: audience, JWKS: "{env.HUMA_TEST_NOT_SET}"}, "jwks: "},
	} {
		_, err := verifier(test.v)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got %v, want one error with %q", test.v, err, test.want)
		}
	}
}
