package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestI06_DoesNotLoad(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, "SITE {\n}")
	header := []string{"trust forward_auth", "trust proxies"}
	for _, c := range []struct {
		name    string
		lines   string
		message []string
	}{
		{"a header without trust", "identity {\nemail Remote-Email\n}", append(header, "email", "Remote-Email")},
		{"a name without trust", "identity {\nemail {http.auth.user.id}\nname Remote-Name\n}", append(header, "name", "Remote-Name")},
		{"verified without trust", "identity {\nemail {http.auth.user.id}\nverified X-Verified\n}", append(header, "verified", "X-Verified")},
		{"a header's placeholder", "identity {\nemail {http.request.header.Remote-Email}\n}", append(header, "Remote-Email")},
		{"a header's short placeholder", "identity {\nemail {header.Remote-Email}\n}", append(header, "Remote-Email")},
		{"a preset without trust", "identity authelia", append(header, "Remote-Email")},
		{"a candidate", "identity {\nemail {http.auth.candidate.id}\n}", []string{"email", "{http.auth.user.id}"}},
		{"a candidate's address", "identity {\nemail {http.auth.candidate.email}\n}\ntrust proxies 127.0.0.1", []string{"email", "{http.auth.user.id}"}},
		{"the query", "identity {\nemail {query.email}\n}", []string{"email", "set by the client"}},
		{"the whole query", "identity {\nemail {http.request.uri.query}\n}", []string{"email", "set by the client"}},
		{"the path", "identity {\nemail {path}\n}", []string{"email", "set by the client"}},
		{"a cookie", "identity {\nemail {cookie.email}\n}\ntrust proxies 127.0.0.1", []string{"email", "set by the client"}},
		{"the body", "identity {\nemail {http.request.body}\n}", []string{"email", "set by the client"}},
		{"the host", "identity {\nemail {host}\n}", []string{"email"}},
		{"the client's address", "identity {\nemail {client_ip}\n}", []string{"email"}},
		{"the environment", "identity {\nemail {env.HOME}\n}", []string{"email", "the same for every user"}},
		{"a file", "identity {\nemail {file./etc/passwd}\n}", []string{"email", "the same for every user"}},
		{"the system's name", "identity {\nemail {system.hostname}\n}", []string{"email"}},
		{"text around a placeholder", "identity {\nemail {http.auth.user.id}@x.example\n}", []string{"email", "single placeholder"}},
		{"two placeholders", "identity {\nemail {http.auth.user.id}{http.auth.user.email}\n}", []string{"email", "single placeholder"}},
		{"a placeholder that is not a header", "identity {\nemail {http.reverse_proxy.status_text}\n}", []string{"email"}},
		{"the server's certificate", "identity {\nemail {http.request.tls.server_name}\n}", []string{"email"}},
		{"an expression", "identity {\nemail {http.regexp.x.1}\n}", []string{"email", "map"}},
		{"an underscore", "identity {\nemail OIDC_CLAIM_email\n}\ntrust proxies 127.0.0.1", []string{"email", "expected_underscore_headers"}},
		{"a dot", "identity {\nemail X.Email\n}\ntrust proxies 127.0.0.1", []string{"email", "expected_dot_headers"}},
		{"no header's name", "identity {\nemail X-Email:\n}\ntrust proxies 127.0.0.1", []string{"email"}},
		{"no identity", "trust forward_auth", []string{"identity"}},
		{"no e-mail", "identity {\nname {http.auth.user.name}\n}", []string{"email"}},
		{"no such preset", "identity autelia\ntrust forward_auth", []string{"identity", "authelia"}},
		{"an upstream with a path", "identity authelia\ntrust forward_auth http://authelia:9091/api", []string{"trust", "forward_auth"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.load("SITE {\nhuma_token {\n" + huma.credentials() + c.lines + "\n}\n}")
			if err == nil {
				t.Fatal("the config is valid, want an error")
			}
			for _, text := range c.message {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not contain %q: %v", text, err)
				}
			}
			if strings.Contains(err.Error(), "sandbox-secret") {
				t.Errorf("the error contains the secret: %v", err)
			}
		})
	}
	for name, lines := range map[string]string{
		"an authentication":       "identity {\nemail {http.auth.user.id}\n}",
		"a map":                   "identity {\nemail {user_email}\n}",
		"a variable":              "identity {\nemail {http.vars.user_email}\n}",
		"a short variable":        "identity {\nemail {vars.user_email}\n}",
		"a certificate":           "identity {\nemail {tls_client_subject}\n}",
		"a response":              "identity {\nemail {rp.header.Remote-Email}\n}",
		"a response, underscores": "identity {\nemail OIDC_CLAIM_email\n}\ntrust forward_auth",
		"a header that is let by": "identity {\nemail X-Email\n}\ntrust proxies 127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.load("SITE {\nhuma_token {\n" + huma.credentials() + lines + "\n}\n}"); err != nil {
				t.Errorf("load: %v", err)
			}
		})
	}
	if n := len(huma.Calls().Calls); n != 0 {
		t.Errorf("%d calls at Huma", n)
	}
}

// TestI06_UnderscoresLetThrough checks a Caddy that allows one spelling of a header with
// underscores. Only this spelling is read.
func TestI06_UnderscoresLetThrough(t *testing.T) {
	text := `SITE {
		huma_token {
			HUMA
			identity {
				email OIDC_CLAIM_email
			}
			trust proxies 127.0.0.1
		}
	}`
	d := openEdited(t, text, func(server map[string]any) {
		server["expected_underscore_headers"] = []string{"OIDC_CLAIM_email"}
	})
	right := header("OIDC_CLAIM_email", "a@x.example")
	d.wantTokenOf(t, "a@x.example", path, right)
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC-CLAIM-email", "mallory@evil.example"))
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC.CLAIM.email", "mallory@evil.example"))
	d.wantRejection(t, 401, "identity_missing", path, header("OIDC_CLAIM-email", "mallory@evil.example"))
	d.wantTokenOf(t, "a@x.example", path, right, header("OIDC-CLAIM-email", "mallory@evil.example"), header("OIDC.CLAIM.email", "mallory@evil.example"))
	// Caddy drops a header that occurs twice.
	d.wantRejection(t, 401, "identity_missing", path, right, header("OIDC_CLAIM_email", "mallory@evil.example"))
	d.notLogged(t, "@x.example", "@evil.example")
}
