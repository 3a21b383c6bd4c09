package cors_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
)

// TestCheckOrigin checks that each value in a form that no browser sends has an error
// with the form to write.
func TestCheckOrigin(t *testing.T) {
	for _, c := range []struct{ origin, want string }{
		{"https://app.example.com", ""},
		{"https://app.example.com:8443", ""},
		{"http://localhost", ""},
		{"http://localhost:3000", ""},
		{"http://127.0.0.1:3000", ""},
		{"https://[2001:db8::1]:8443", ""},
		{"https://xn--bcher-kva.example", ""},
		{"https://app.example.com.", ""}, // another origin than the one without the dot
		{"https://my_host.example.com", ""},
		{"capacitor://localhost", ""},
		{"ionic://localhost", ""},
		{"tauri://localhost", ""},
		{"chrome-extension://abcdefghijklmnop", ""},
		{"http://example.com:443", ""},
		{"capacitor://localhost:443", ""},

		{"", "empty value"},
		{"*", "must not be *"},
		{"null", "must not be null"},
		{"NULL", "must not be null"},
		{"https://*.example.com", "contains a wildcard: list each origin"},
		{"https://app.example.com:*", "contains a wildcard"},
		{"https://a.example,https://b.example", "without commas"},
		{"https://a.example https://b.example", "a value of its own"},
		{"https://ada:CANARY@a.example", "an origin must not contain a user name"},
		{"https://a.example/", "write https://a.example"},
		{"https://a.example/app?x#y", "write https://a.example"},
		{"https://a.example?x", "write https://a.example"},
		{"https://a.example#", "write https://a.example"},
		{`https://a.example\b`, "is not an origin"},
		{"https://A.Example", "write https://a.example"},
		{"HTTPS://a.example", "write https://a.example"},
		{"Capacitor://localhost", "write capacitor://localhost"},
		{"https://a.example:443", "write https://a.example"},
		{"http://a.example:80", "write http://a.example"},
		{"https://a.example:", "write https://a.example"},
		{"https://a.example:08443", "write https://a.example:8443"},
		{"https://a.example:0", "invalid port"},
		{"https://a.example:65536", "invalid port"},
		{"https://a.example:+1", "is not an origin"},
		{"https://a.example:x", "is not an origin"},
		{"https://a.example:1:2", "is not an origin"},
		{"https://bücher.example", "write https://xn--bcher-kva.example"},
		{"https://[2001:DB8:0:0:0:0:0:1]", "write https://[2001:db8::1]"},
		{"https://[::ffff:192.0.2.1]", "is not an origin"},
		{"https://[fe80::1%25eth0]", "is not an origin"},
		{"https://[::1", "is not an origin"},
		{"https://[192.0.2.1]", "is not an origin"},
		{"https://[::1]x", "is not an origin"},
		{"https://::1", "not an origin"},
		{"a.example", "has no scheme: write https://a.example"},
		{"localhost:3000", "has no scheme: write https://localhost:3000"},
		{"//a.example", "is not an origin"},
		{"https:a.example", "is not an origin"},
		{"https://", "is not an origin"},
		{"https://:443", "is not an origin"},
		{"https://a!b.example", "is not an origin"},
		{"https:///path", "is not an origin"},
		{"https://a.example\x00", "is not an origin"},
		{"https://a%2e.example", "is not an origin"},
		{"://a.example", "is not an origin"},
		{"1x://a.example", "is not an origin"},
		{"blob:https://a.example", "is not an origin"},
		{"file://", "browsers send the origin null"},
		{"file:///index.html", "browsers send the origin null"},
	} {
		switch err := cors.CheckOrigin(c.origin); {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.origin, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want an error with %q", c.origin, err, c.want)
		case err != nil && strings.Contains(err.Error(), "CANARY"):
			t.Errorf("%q: the error contains the password", c.origin)
		}
	}
}

// FuzzCheckOrigin checks that an accepted value is an origin and nothing more, and that
// the form that an error says to write is accepted.
func FuzzCheckOrigin(f *testing.F) {
	for _, origin := range []string{
		"https://app.example.com", "capacitor://localhost", "https://[::ffff:192.0.2.1]:0443", "HTTP://BÜCHER.example:80/x", "null", "a.example:1", "https://127.0.0.1",
	} {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		err := cors.CheckOrigin(origin)
		if err != nil {
			if _, form, ok := strings.Cut(err.Error(), ": write "); ok && strings.HasPrefix(err.Error(), "'"+origin+"' ") && !strings.Contains(origin, ": write ") && !strings.Contains(form, " ") {
				if err := cors.CheckOrigin(form); err != nil {
					t.Errorf("%q: the error says to write %q: %v", origin, form, err)
				}
			}
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme+"://"+u.Host != origin || u.Hostname() == "" || u.User != nil || strings.ToLower(origin) != origin {
			t.Errorf("%q is accepted: %v", origin, err)
		}
	})
}

func TestIsInsecure(t *testing.T) {
	for origin, want := range map[string]bool{
		"http://app.example.com": true, "http://192.168.0.1:3000": true, "http://[2001:db8::1]": true, "http://localhost.example.com": true,
		"https://app.example.com": false, "capacitor://localhost": false, "http://localhost:3000": false, "http://app.localhost": false, "http://127.0.0.1": false, "http://[::1]:1": false,
	} {
		if got := cors.IsInsecure(origin); got != want {
			t.Errorf("%s: %t", origin, got)
		}
	}
}
