package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/check"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestCheckIdentitySources checks the calls to the services that identify users: the key
// server, the auth server and the application.
func TestCheckIdentitySources(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	auth := startAuthServer(t)
	provider := newOpenIDProvider(t)
	of := func(identity string) string {
		return caddyfileOf(t, strings.Replace(humaBlock(fake), "identity basic_auth", identity, 1))
	}
	authServer := "identity authelia {\nauth_server " + auth.URL + "\n}"
	verify := "identity {\nemail Authorization email\nverified Authorization email_verified\nverify {\nissuer " + provider.keys.URL + "/oidc\nrequire azp a\n}\n}"
	userinfo := "userinfo " + provider.userinfo + " {\nemail email\n}"
	respond := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name     string
		identity string
		response http.HandlerFunc // of the auth server and the application; nil: 401
		keysDown bool
		ok       []string // checks
		want     []string
	}{
		{"auth server", authServer, nil, false, []string{"auth_server"}, nil},
		{"auth server redirects", authServer, respond(302, ""), false, []string{"auth_server"}, nil},
		{"auth server lets everybody in", authServer, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Remote-Email", "canary@x.example") }, false, nil,
			[]string{"auth_server problem: as to a signed-in user → respond with 401"}},
		{"auth server with a bypass rule", authServer, respond(200, ""), false, nil, []string{"auth_server warning: without the header of a user → bypass"}},
		{"auth server denies", authServer, respond(403, ""), false, nil, []string{"auth_server warning: 403"}},
		{"auth server is down", authServer, respond(500, ""), false, nil, []string{"auth_server problem: unexpected status 500 → start the service"}},
		{"no auth server", strings.Replace(authServer, auth.URL, "http://127.0.0.1:1", 1), nil, false, nil, []string{"auth_server problem: connection refused"}},
		{"application", userinfo, nil, false, []string{"userinfo"}, nil},
		{"application says null", userinfo, respond(200, "null"), false, []string{"userinfo"}, nil},
		{"application has no user", userinfo, respond(200, "{}"), false, []string{"userinfo"}, nil},
		{"application has one user", userinfo, respond(200, `{"email":"canary@x.example"}`), false, nil, []string{"userinfo problem: as to a signed-in user"}},
		{"application responds with HTML", userinfo, respond(200, "<html>canary"), false, nil, []string{"userinfo problem: "}},
		{"keys", verify, nil, false, []string{"discovery", "jwks"}, nil},
		{"no discovery document", strings.Replace(verify, "/oidc", "", 1), nil, false, nil, []string{"discovery problem: fetch discovery document: → correct the issuer"}},
		{"key server is down", verify, nil, true, nil, []string{"discovery problem: status 502"}},
		{"no option verified", strings.Replace(verify, "verified Authorization email_verified\n", "", 1), nil, false, nil, []string{"identity warning: does not state whether → verified Authorization email_verified"}},
		{"keys at a URL", strings.Replace(verify, "require", "jwks "+provider.keys.URL+"/oidc\nrequire", 1), nil, false, []string{"jwks"}, nil},
		{"no keys at a URL", strings.Replace(verify, "require", "jwks "+provider.keys.URL+"/none\nrequire", 1), nil, false, nil, []string{"jwks problem: no usable public key"}},
		{"discovery document as JWKS", strings.Replace(verify, "require", "jwks "+provider.keys.URL+"/oidc/.well-known/openid-configuration\nrequire", 1), nil, false, nil,
			[]string{"jwks problem: discovery document, not a JWKS"}},
		{"verify and userinfo", strings.Replace(userinfo, "email email", "email email\nverify {\nissuer "+provider.keys.URL+"/oidc\nrequire azp a\n}", 1), nil, false, []string{"discovery", "jwks", "userinfo"}, nil},
		{"keys by id", "identity aws_alb {\nverify {\njwks " + provider.keys.URL + "/aws\nsigner arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/1\nissuer " + provider.keys.URL + "\n}\n}", nil, false, nil, []string{"client_ip warning: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			response := c.response
			if response == nil {
				response = respond(401, "")
			}
			auth.setHandler(response)
			provider.setHandler(response)
			provider.keys.setDown(c.keysDown)
			config := of(c.identity)
			_, all := runCheck(t, config)
			finds(t, all, c.want...)
			for _, name := range c.ok {
				if results(all)[name] != "ok" {
					t.Errorf("%s is %q, want ok: %+v", name, results(all)[name], all)
				}
			}
			if strings.Contains(fmt.Sprint(all), "canary") {
				t.Errorf("data of a user: %+v", all)
			}
			for _, r := range offline(t, config) {
				if slices.Contains([]string{"jwks", "discovery", "auth_server", "userinfo"}, r.Check) && r.Result != "skipped" {
					t.Errorf("with --offline: %+v", r)
				}
			}
		})
	}
}

func offline(t *testing.T, config string) []checkDocument {
	_, all := runCheck(t, config, "--offline")
	return all
}

// TestCheckAccounts checks that directives of the same account share its calls and their
// results, and that equal results are printed once.
func TestCheckAccounts(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Secret: "another"})
	auth := startAuthServer(t)
	var sites strings.Builder
	for i := range 12 {
		fmt.Fprintf(&sites, "http://s%d.example {\n%s\n}\n", i, strings.Replace(humaBlock(fake, "max_waiting 50", "client_type web"), "identity basic_auth", "identity authelia {\nauth_server "+auth.URL+"\n}", 1))
	}
	config := writeFile(t, "Caddyfile", sites.String())
	code, all := runCheck(t, config)
	finds(t, all, "credentials problem: status 401, code 100006 → secret")
	if n := fake.calls("signin"); code != 1 || n != 2*3 { // runCheck runs the command twice; there are three client IDs
		t.Errorf("exit code %d, %d calls", code, n)
	}
	if n := len(auth.requests); n != 2 {
		t.Errorf("%d calls of the auth server", n)
	}
	last := all[len(all)-1]
	if len(last.Directives) != 12 || !strings.HasPrefix(last.Account, "huma_token account, api "+fake.URL+", project_id p1") {
		t.Errorf("the last result is %+v", last)
	}
	text := run(t, check.Command(), "--config", config).ends(1, "huma_token s10.example/private/huma-token (Caddyfile:182)\nhuma_token s11.example", "and 2 more\n  config", "(of 12 directives)\n  dns", "Caddyfile:10\nCaddyfile:28\n", "and 2 more\n  config       warning  secret is written in plain text", "1 problem, 1 warning")
	if n := strings.Count(text.out, "each reaches"); n != 1 {
		t.Errorf("equal results are printed %d times:\n%s", n, text.out)
	}
	run(t, check.Command(), "--config", config, "--quiet").ends(1, "huma_token account", "credentials  problem", "1 problem, 1 warning").hides("the options are valid", "routes", " ok ")
	fake.Reset()
	good := newHuma(t, sandbox.Config{})
	t.Setenv("CADDY_HUMA_TEST_SECRET", "sandbox-secret")
	if r := run(t, check.Command(), "--config", caddyfileOf(t, strings.Replace(humaBlock(good), "sandbox-secret", "{env.CADDY_HUMA_TEST_SECRET}", 1)), "--quiet"); r.code != 0 || r.out != "" {
		t.Errorf("exit code %d: %q", r.code, r.out)
	}
}
