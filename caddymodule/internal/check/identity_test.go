package check

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

func TestCheckIdentity(t *testing.T) {
	source := func(email string) config.Common { return config.Common{Identity: &config.Identity{Email: email}} }
	auth := func(url string) config.Common {
		return config.Common{Identity: &config.Identity{AuthServer: &config.AuthServer{URL: url}}}
	}
	signed := func(preset, email, verified string) config.Common {
		return config.Common{Identity: &config.Identity{Preset: preset, Email: email, Verified: verified, Verify: new(config.Verify)}}
	}
	for _, test := range []struct {
		name   string
		common config.Common
		want   string // part of the only warning; "": none
	}{
		{"header", source("Remote-Email"), ""},
		{"claims", source("Authorization email upn"), ""},
		{"preferred_username", source("Authorization email preferred_username"), "preferred_username"},
		{"nickname in a path", source("X-Userinfo user.nickname"), "nickname"},
		{"escaped dot", source(`Authorization https://x\.example/nickname`), ""},
		{"userinfo", config.Common{Userinfo: &config.Userinfo{URL: "http://app:3000/me", Email: "user.preferred_username"}}, "preferred_username"},
		{"verify without verified", signed("", "Authorization email", ""), "does not state whether its email address is verified"},
		{"verify with verified", signed("", "Authorization email", "Authorization email_verified"), ""},
		{"preset with verify", signed("google_iap", "", ""), ""},
		{"preset with verify and a source", signed("keycloak", "Authorization mail", ""), ""},
		{"container", auth("http://authelia:9091"), ""},
		{"loopback", auth("http://127.0.0.1:9091"), ""},
		{"IPv6 loopback", auth("http://[::1]:9091"), ""},
		{"private address", auth("http://10.0.0.7:9091"), ""},
		{"private domain", auth("http://auth.prod.svc.cluster.local"), ""},
		{"https", auth("https://auth.clinic.example"), ""},
		{"public name", auth("http://auth.clinic.example:8080"), "auth_server is called without TLS at auth.clinic.example"},
		{"public address", auth("http://192.0.2.7"), "192.0.2.7"},
		{"public application", config.Common{Userinfo: &config.Userinfo{URL: "http://app.clinic.example/me", Email: "email"}}, "userinfo is called without TLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checkIdentity(&target{directive: &dryrun.Directive{Service: endpoint.Huma, Common: test.common}})
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || got[0].Result != report.Warning || !strings.Contains(got[0].Detail, test.want)) {
				t.Errorf("got %+v, want %q", got, test.want)
			}
		})
	}
	// The users of Human API are identified by ID.
	byID := &target{directive: &dryrun.Directive{Service: endpoint.HumanAPI, Common: signed("", "Authorization email", "")}}
	if got := checkIdentity(byID); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}
