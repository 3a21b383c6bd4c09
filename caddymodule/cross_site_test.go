package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestG02_OriginWithoutFetchMetadata checks that Origin is used for browsers that do not
// send Sec-Fetch-Site.
func TestG02_OriginWithoutFetchMetadata(t *testing.T) {
	host := freeAddress(t)
	name, port, _ := strings.Cut(host, ":")
	anyHost := strings.Replace(trustingSite, "SITE {", "http://:"+port+" {\nbind 127.0.0.1\n", 1)
	d := open(t, anyHost).at("http://" + host)
	at := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	origin := func(v string) func(*http.Request) { return header("Origin", v) }
	type edits = []func(*http.Request)
	for _, c := range []struct {
		name string
		edit edits
		ok   bool
	}{
		{"none", nil, true},
		{"same origin", edits{origin("http://" + host)}, true},
		{"same origin, TLS ended by a proxy", edits{origin("https://" + host)}, true},
		{"same origin, default port in Host", edits{at("app.example.com:443"), origin("https://app.example.com")}, true},
		{"same origin, IPv6", edits{at("[::1]:8080"), origin("http://[::1]:8080")}, true},
		{"another", edits{origin("https://evil.example")}, false},
		{"empty", edits{origin("")}, false},
		{"no port", edits{origin("http://" + name)}, false},
		{"a subdomain", edits{at("example.com"), origin("https://app.example.com")}, false},
		{"a suffix", edits{at("app.example.com"), origin("https://evil-app.example.com")}, false},
		{"user information", edits{at("app.example.com"), origin("https://app.example.com@evil.example")}, false},
		{"a port of another scheme", edits{at("app.example.com:443"), origin("http://app.example.com")}, false},
		{"G4 a WebView's", edits{origin("capacitor://localhost")}, false},
		{"two", edits{origin("http://" + host), origin("https://evil.example")}, false},
		{"forwarded, from a peer that is not a trusted proxy", edits{at("inner"), origin("https://app.example.com"), header("X-Forwarded-Host", "app.example.com")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			edit := append(edits{as("a@x.example")}, c.edit...)
			if c.ok {
				d.wantTokenOf(t, "a@x.example", path, edit...)
				return
			}
			d.wantRejection(t, 403, "cross_site", path, edit...)
			for _, method := range []string{"POST", "DELETE"} {
				d.request(method, path, edit...).problem(t, 403, "cross_site")
			}
		})
	}
	if d.logLines(`"reason":"cross_site"`) == nil {
		t.Error("the rejection is not logged")
	}
	t.Run("behind a trusted proxy", func(t *testing.T) {
		d := openEdited(t, anyHost, func(server map[string]any) {
			server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{"127.0.0.1"}}
		}).at("http://" + host)
		inner := edits{as("a@x.example"), at("inner"), origin("https://app.example.com")}
		d.wantRejection(t, 403, "cross_site", path, inner...)
		d.wantRejection(t, 403, "cross_site", path, append(inner, header("X-Forwarded-Host", "other.example.com"))...)
		d.wantTokenOf(t, "a@x.example", path, append(inner, header("X-Forwarded-Host", "app.example.com"))...)
		d.wantTokenOf(t, "a@x.example", path, append(inner, header("X-Forwarded-Host", "app.example.com, inner"))...)
	})
	d.notLogged(t, "@x.example")
}

// TestK03_TemplateInclude checks the request of a template that includes the endpoint: it
// comes from a loopback address, with the headers of the request for the page.
func TestK03_TemplateInclude(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, "page.html"), []byte(`token: {{httpInclude "`+iosPath+`"}}`), 0o600))
	text := strings.Replace(trustingSite, "SITE {", "SITE {\nhandle /page.html {\nroot "+root+"\ntemplates\nfile_server\n}\n", 1)
	elsewhere := clientFrom(t, "127.0.0.2")
	for _, c := range []struct {
		name           string
		trust, trusted string
	}{
		{"trust proxies with a range", "trust proxies 127.0.0.1/32", ""},
		{"trust proxies of the server's", "trust proxies", "127.0.0.1/32"},
		{"trust proxies with a range beside another's", "trust proxies 127.0.0.0/8", "10.0.0.0/8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openEdited(t, strings.Replace(text, "trust proxies 127.0.0.1", c.trust, 1), func(server map[string]any) {
				if c.trusted != "" {
					server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{c.trusted}}
				}
			})
			stranger := *d.site
			stranger.client = elsewhere
			for _, s := range []*site{&stranger, d.site} {
				a := s.request("GET", "/page.html", as("victim@x.example"))
				if a.StatusCode == http.StatusOK || strings.Contains(string(a.Body), "uid") {
					t.Errorf("status %d: %s", a.StatusCode, a.Body)
				}
			}
			if n := len(d.huma.Calls().Calls); n != 0 {
				t.Errorf("%d calls at the service", n)
			}
			if len(d.logLines("comes from httpInclude in a template")) == 0 {
				t.Error("the reason is not logged")
			}
			d.wantRejection(t, 401, "identity_untrusted", path, as("a@x.example"), header("Caddy-Templates-Include", "1"))
			d.wantTokenOf(t, "a@x.example", path, as("a@x.example"))
		})
	}
}
