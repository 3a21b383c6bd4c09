package apiurl_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]string{
		"https://api.example.com":         "https://api.example.com",
		"\thttps://api.example.com/\t\n":  "https://api.example.com",
		"https://api.example.com/base//":  "https://api.example.com/base",
		"https://api.example.com/a%2Fb/":  "https://api.example.com/a%2Fb",
		"http://localhost:8081":           "http://localhost:8081",
		"http://sandbox.localhost:8081/x": "http://sandbox.localhost:8081/x",
		"http://127.0.0.1":                "http://127.0.0.1",
		"http://[::1]:80":                 "http://[::1]:80",
	} {
		if u, err := apiurl.Parse(raw); err != nil || u.String() != want {
			t.Errorf("%q: %v, %v", raw, u, err)
		}
	}
	for raw, want := range map[string]string{
		"":                              "an absolute URL",
		"api.example.com":               "an absolute URL",
		"https://":                      "an absolute URL",
		"https://:443":                  "an absolute URL",
		"https:///path":                 "an absolute URL",
		"/relative":                     "an absolute URL",
		"unix:///run/huma.sock":         "an absolute URL",
		"https://u:swordfish@a.example": "username or password",
		"http://swordfish@localhost":    "username or password",
		"https://a.example?x=swordfish": "query",
		"https://a.example?":            "query",
		"https://a.example#swordfish":   "fragment",
		"http://a.example":              "must be https",
		"http://10.0.0.1":               "must be https",
		"http://localhost.a.example":    "must be https",
		"http://127.0.0.1.a.example":    "must be https",
		"http://notlocalhost":           "must be https",
		"http://0.0.0.0:1":              "must be https",
		"http://[2001:db8::1]":          "must be https",
		"//a.example":                   "must be https",
		"ftp://a.example":               "must be https, not ftp",
		"https://swordfish\x7f":         "not a valid URL",
		`https://a.example\@swordfish`:  "not a valid URL",
		"https://swordfish a.example":   "not a valid URL",
		"https://a.example:swordfish":   "not a valid URL",
		"https://a.example/%zz":         "not a valid URL",
	} {
		if u, err := apiurl.Parse(raw); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%q: %v, %v; want %q", raw, u, err, want)
		}
	}
}

// TestCanonical checks that spellings of one API are equal, and different APIs are not.
func TestCanonical(t *testing.T) {
	same := [][]string{
		{"https://a.example", "https://A.Example:443/", "https://a.example."},
		{"http://localhost:80", "http://127.0.0.1", "http://[::1]", "http://x.localhost"},
		{"https://a.example/base", "https://a.example:443/base/"},
		{"https://a.example:8443"},
		{"https://a.example/Base"},
		{"https://localhost"},
	}
	seen := make(map[string]int)
	for i, urls := range same {
		for _, raw := range urls {
			u, err := apiurl.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			c := apiurl.Canonical(u)
			if other, ok := seen[c]; ok && other != i {
				t.Errorf("%s is %s, like %s", raw, c, same[other][0])
			}
			seen[c] = i
		}
	}
	if len(seen) != len(same) {
		t.Errorf("%d canonical URLs of %d APIs: %v", len(seen), len(same), seen)
	}
}
