package identify

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// TestUpstreams is about the upstream of trust forward_auth, which is written as in the
// forward_auth line and compared with Caddy's placeholder.
func TestUpstreams(t *testing.T) {
	for text, want := range map[string]string{
		"authelia:9091":            "authelia:9091",
		"Authelia.Example:9091":    "Authelia.Example:9091",
		"authelia":                 "authelia:80",
		"authelia:":                "authelia:80",
		"http://authelia:9091":     "authelia:9091",
		"http://authelia":          "authelia:80",
		"https://auth.example":     "auth.example:443",
		"https://auth.example:444": "auth.example:444",
		"h2c://authelia:9091":      "authelia:9091",
		"tcp/authelia:9091":        "authelia:9091",
		"tcp6/authelia":            "authelia:80",
		":9091":                    ":9091",
		"127.0.0.1:9091":           "127.0.0.1:9091",
		"[::1]:9091":               "[::1]:9091",
		"https://[::1]":            "[::1]:443",
		"[::1]":                    "[::1]:80",
		"::1":                      "[::1]:80",
		"authelia:09091":           "authelia:9091",
		"unix//run/Auth.sock":      "/run/Auth.sock",
		"unix+h2c//run/auth.sock":  "/run/auth.sock",
	} {
		if got, err := parseUpstream(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"a b:1", "https://", "https://:1", "https://a/path", "https://a/", "https://a?q", "https://a?", "https://a#b", "https://u@a", "ftp://a", "://a",
		"a:0", "a:65536", "a:http", "a:1-2", "a:b:1", "unix/", "udp/a:1", "a/b", "a:-1", "@:1", "u:secret@a:1", "a,b:1", "https://u:secret@a/path", "https://u:secret@a b",
	} {
		var p option.Errors
		readTrust(&config.Trust{Mode: config.TrustForwardAuth, Upstream: text}, &p)
		err := p.Err()
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		if got := err.Error(); strings.Contains(got, "secret") || !strings.Contains(got, "trust: ") || !strings.Contains(got, `"trust forward_auth authelia:9091"`) {
			t.Errorf("%q: %s", text, got)
		}
	}
	if _, err := parseUpstream("{auth}:1"); err == nil {
		t.Error("a placeholder is accepted")
	}
	var p option.Errors
	if got := readTrust(&config.Trust{Mode: config.TrustForwardAuth}, &p); got.Mode != identity.TrustForwardAuth || got.Upstream != "" || p.Err() != nil {
		t.Errorf("without an upstream: %+v, %v", got, p.Err())
	}
}
