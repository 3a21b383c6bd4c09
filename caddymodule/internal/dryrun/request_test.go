package dryrun

import (
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
)

// TestRequest checks the host, the path and the use of TLS of the request that the commands
// send for a site.
func TestRequest(t *testing.T) {
	const (
		block  = " {\n\thuma_token {\n\t\tidentity basic_auth\n\t}\n}\n"
		behind = "{\n\tservers {\n\t\ttrusted_proxies static private_ranges\n\t}\n}\n"
	)
	for text, want := range map[string]struct {
		host, uri string
		tls       bool
	}{
		"app.x.example" + block:                                     {"app.x.example", "/private/huma-token", true},
		"app.x.example:8443" + block:                                {"app.x.example", "/private/huma-token", true},
		"*.x.example" + block:                                       {"x.x.example", "/private/huma-token", true},
		"http://app.x.example" + block:                              {"app.x.example", "/private/huma-token", false},
		"http://app.x.example:8080" + block:                         {"app.x.example", "/private/huma-token", false},
		"http://" + block:                                           {"localhost", "/private/huma-token", false},
		":8080" + block:                                             {"localhost", "/private/huma-token", false},
		"localhost" + block:                                         {"localhost", "/private/huma-token", true},
		behind + "http://app.x.example" + block:                     {"app.x.example", "/private/huma-token", true},
		"{\n\tauto_https off\n}\napp.x.example" + block:             {"app.x.example", "/private/huma-token", true},
		"app.x.example {\n\thuma_token /t {\n\t}\n}\n":              {"app.x.example", "/t", true},
		"app.x.example {\n\thuma_token /t/* {\n\t}\n}\n":            {"app.x.example", "/private/huma-token", true},
		"app.x.example {\n\ttls internal\n\thuma_token {\n\t}\n}\n": {"app.x.example", "/private/huma-token", true},
	} {
		config, _, err := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var c struct {
			Apps struct{ HTTP map[string]any } `json:"apps"`
		}
		if err := json.Unmarshal(config, &c); err != nil {
			t.Fatal(err)
		}
		all, err := directives(c.Apps.HTTP)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %d directives, %v", text, len(all), err)
			continue
		}
		r := all[0].Request()
		if r.Host != want.host || r.URI != want.uri || (r.TLS != nil) != want.tls {
			t.Errorf("%s: host %q, URI %q, TLS %t", text, r.Host, r.URI, r.TLS != nil)
		}
	}
}
