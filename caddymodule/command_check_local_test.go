package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestCheckLocalPeers checks what check says about a directive that trusts processes on
// this machine.
func TestCheckLocalPeers(t *testing.T) {
	const (
		loopback = "trusts loopback addresses"
		anyUser  = "any user of this machine"
		admin    = "admin endpoint"
		noRange  = "have no address"
	)
	for _, test := range []struct {
		name    string
		options string // lines of servers in the global options; admin: another global option
		site    string // the address of the site
		bind    string
		trust   string
		want    string // part of the only warning or problem of the check identity; empty: none
	}{
		{"socket", "trusted_proxies_unix", "http://", "unix//run/huma/http.sock|0660", "proxies", ""},
		{"socket with the default mode", "trusted_proxies_unix", "http://", "unix//run/huma/http.sock", "proxies", ""},
		{"socket for all", "trusted_proxies_unix", "http://", "unix//run/huma/http.sock|0666", "proxies", anyUser},
		{"abstract socket", "trusted_proxies_unix", "http://", "unix/@huma", "proxies", anyUser},
		{"socket and admin on TCP", "trusted_proxies_unix\nADMIN", "http://", "unix//run/huma/http.sock|0660", "proxies", admin},
		{"socket, not trusted", "trusted_proxies static 127.0.0.1", "http://", "unix//run/huma/http.sock|0660", "proxies", noRange},
		{"socket, range", "trusted_proxies_unix", "http://", "unix//run/huma/http.sock|0660", "proxies 127.0.0.1", noRange},
		{"socket and TCP", "trusted_proxies_unix", "http://:8080", "unix//run/huma/http.sock|0660 192.0.2.1", "proxies", ""},

		{"loopback", "", "http://:8080", "127.0.0.1", "proxies 127.0.0.1", loopback},
		{"IPv6 loopback", "", "http://:8080", "[::1]", "proxies ::1", loopback},
		{"localhost", "", "http://:8080", "localhost", "proxies 127.0.0.0/8", loopback},
		{"loopback of the server", "trusted_proxies static 127.0.0.1", "http://:8080", "127.0.0.1", "proxies", loopback},
		{"private ranges on loopback", "", "http://:8080", "127.0.0.1", "proxies private_ranges", loopback},
		{"every address on loopback", "", "http://:8080", "127.0.0.1", "proxies 0.0.0.0/0", loopback},
		{"loopback on every interface", "", "http://:8080", "0.0.0.0", "proxies 127.0.0.1 10.0.0.5", loopback},
		{"mapped loopback", "", "http://:8080", "0.0.0.0", "proxies ::ffff:127.0.0.1", loopback},
		{"private ranges on every interface", "", "http://:8080", "0.0.0.0", "proxies private_ranges", ""},
		{"private ranges of the server", "trusted_proxies static private_ranges", "http://:8080", "0.0.0.0", "proxies", ""},
		{"another machine", "", "http://:8080", "0.0.0.0", "proxies 10.0.0.5", ""},
		{"forward_auth", "", "http://:8080", "127.0.0.1", "forward_auth", ""},
		{"file descriptor", "trusted_proxies_unix", "http://", "fd/3", "proxies", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			options, isDefault := strings.CutSuffix(test.options, "\nADMIN")
			adminLine := "admin off"
			if isDefault {
				adminLine = ""
			}
			auth := ""
			if test.trust == "forward_auth" {
				auth = "forward_auth authelia:9091 {\nuri /api/authz/forward-auth\n}"
			}
			text := "{\n" + adminLine + "\nservers {\n" + options + "\n}\n}\n" + test.site + ` {
	bind ` + test.bind + `
	` + auth + `
	huma_token {
		config_file /etc/huma/huma-config.json
		identity authelia
		trust ` + test.trust + `
	}
}
`
			_, all := runCheck(t, siteConfig(t, text, offlineConfig(t)), "--offline")
			var got []string
			for _, c := range all {
				if c.Check == "identity" {
					got = append(got, c.Detail)
				}
			}
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("client certificates", func(t *testing.T) {
		const text = `https://huma.internal {
	bind 127.0.0.1
	tls internal {
		client_auth {
			mode MODE
			trust_pool file CA
		}
	}
	huma_token {
		config_file /etc/huma/huma-config.json
		identity authelia
		trust proxies 127.0.0.1
	}
}
`
		site := strings.ReplaceAll(text, "CA", testutil.NewAuthority(t.TempDir(), "ca").File)
		for mode, want := range map[string]bool{"require_and_verify": false, "verify_if_given": true} {
			_, all := runCheck(t, siteConfig(t, strings.ReplaceAll(site, "MODE", mode), offlineConfig(t)), "--offline")
			warned := false
			for _, c := range all {
				warned = warned || c.Check == "identity" && strings.Contains(c.Detail, loopback)
			}
			if warned != want {
				t.Errorf("%s: %v, want a warning: %v", mode, all, want)
			}
		}
	})
}
