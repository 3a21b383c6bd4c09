package caddymodule_test

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cli"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// identified is the result for one directive in the output of caddy huma identity --json.
type identified struct {
	Directive string
	LogName   string `json:"log_name"`
	Notes     []string
}

// TestIdentityNamesUsersAsLogsDo checks that the command prints the hash of the logs, with
// the key of the config or of the shared store.
func TestIdentityNamesUsersAsLogsDo(t *testing.T) {
	store := redistest.Start(t)
	t.Setenv("HUMA_TEST_HASH_KEY", "canary-key")
	for name, options := range map[string]string{
		"hash_key":          "hash_key {env.HUMA_TEST_HASH_KEY}",
		"redis":             withRedis(store, "1m", ""),
		"redis and another": "hash_key canary-key\n" + withRedis(store, "1m", ""),
	} {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				text := p.site(newHuma(t, sandbox.Config{}), options)
				s := serve(t, text)
				s.request("GET", p.target(), as("Alice@x.example"))
				user := "--email"
				if p.name == humanAPIService.name {
					user = "--user-id"
				}
				config := writeFile(t, "Caddyfile", strings.ReplaceAll(text, "SITE", s.URL))
				var found []identified
				r := run(t, cli.IdentityCommand(), "--config", config, user, "Alice@x.example", "--json").ends(0).hides("canary-key", redisKey)
				r.json(&found)
				if len(found) != 1 || len(found[0].LogName) != 8 || len(s.logLines(`"user":"`+found[0].LogName+`"`)) == 0 {
					t.Errorf("%s, but the log has\n%s", r.out, s.log())
				}
				run(t, cli.IdentityCommand(), "--config", config, user, "Alice@x.example").
					ends(0, p.directive+" 127.0.0.1:", "→ Alice@x.example, "+found[0].LogName+" in logs").hides("canary-key")
			})
		})
	}
}

// TestIdentityOrigins: the command treats a request of another site as the endpoint does.
func TestIdentityOrigins(t *testing.T) {
	config := writeFile(t, "Caddyfile", strings.ReplaceAll(simpleSite(newHuma(t, sandbox.Config{}), allowOrigins), "SITE", "http://localhost"))
	try := func(origin string) *ran {
		return run(t, cli.IdentityCommand(), "--config", config, "--peer", "127.0.0.1", "-H", "X-Test-User: a@x.example", "-H", "Sec-Fetch-Site: cross-site", "-H", "Origin: "+origin)
	}
	try(webApp).ends(0, "→ a@x.example")
	try("https://evil.example").ends(1, "no user: 403 cross_site")
}

// TestIdentityNames checks the hash of a user without a request, and the cases in which it
// cannot be computed.
func TestIdentityNames(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	config := caddyfileOf(t, humaBlock(fake), humanBlock(fake))
	keyed := caddyfileOf(t, humaBlock(fake, "hash_key of-the-config"))
	key := writeFile(t, "key", "of-the-config\n")
	name := func(args ...string) string {
		var found []identified
		run(t, cli.IdentityCommand(), append(args, "--json")...).ends(0).json(&found)
		return found[0].LogName
	}
	if a, b := name("--email", "a@x.example", "--hash-key", "{file."+key+"}"), name("--email", "A@X.example", "--config", keyed); a != b || len(a) != 8 {
		t.Errorf("%q by the key alone, %q by the config", a, b)
	}
	if name("--email", "a@x.example", "--hash-key", "another", "--config", keyed) == name("--email", "a@x.example", "--config", keyed) {
		t.Error("the key that is given does not count")
	}
	for _, c := range []struct {
		name  string
		args  []string
		code  int
		parts []string
	}{
		{"both directives", []string{"--config", config, "--email", "a@x.example", "--user-id", "u-1", "--hash-key", "k"}, 0, []string{"human_api_token ", "→ u-1, a@x.example, ", "huma_token ", "→ a@x.example, "}},
		{"no key", []string{"--config", config, "--email", "a@x.example"}, 1, []string{"huma_token ", "note: cannot compute the hash in logs: the server uses a random key", "set the option hash_key", "→ a@x.example\n"}},
		{"no such variable", []string{"--hash-key", "{env.CADDY_HUMA_NOT_SET}", "--email", "a@x.example"}, 1, []string{"note: --hash-key: environment variable CADDY_HUMA_NOT_SET is not set"}},
		{"no address", []string{"--hash-key", "k", "--email", "alice"}, 1, []string{"no user: 401 identity_invalid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, cli.IdentityCommand(), c.args...).ends(c.code, c.parts...)
		})
	}
	for args, part := range map[string]string{
		"--email a@x.example":                                           "--email and --user-id require --hash-key",
		"--email a@x.example --preset authelia":                         "cannot be combined with --preset",
		"--email a@x.example --hash-key k --directive human_api_token":  "identifies users by email address (--email)",
		"--user-id u --config " + keyed:                                 "by ID (--user-id)",
		"--email a@x.example --directive huma_token --config " + config: "--directive cannot be combined with --config",
		"--email a@x.example --hash-key k --directive huma":             `unknown directive "huma"`,
		"":                               "set either --preset, --config or --address",
		"--preset authelia --peer proxy": "is not an IP address",
		"--preset authelia --header Remote-Email": "has no colon",
		"--preset authelia authentik":             "unexpected argument",
	} {
		run(t, cli.IdentityCommand(), strings.Fields(args)...).fails(2, part)
	}
}

// TestIdentityCallsAuthServer: the command calls the auth server as the directive does,
// and says what it responded.
func TestIdentityCallsAuthServer(t *testing.T) {
	s := startAuthServer(t)
	config := caddyfileOf(t, "huma_token {\n"+newHuma(t, sandbox.Config{}).credentials()+"client_type ios\nidentity authelia {\nauth_server "+s.URL+"\n}\n}")
	for _, c := range []struct {
		cookie string
		status int // of the auth server; 0: by the session
		code   int
		says   []string
	}{
		{"authelia_session=s-ada", 0, 0, []string{"the header Remote-Email of the auth server's response", "note: ignoring --response: the command calls the auth server", `→ ada@x.example (first name "Zoë", last name "Ångström")`}},
		{"authelia_session=unknown", 0, 1, []string{"→ no user: 401 identity_missing: the auth server (option auth_server) rejected the credentials"}},
		{"authelia_session=s-ada", 403, 1, []string{"→ no user: 403 identity_forbidden"}},
		{"authelia_session=s-ada", 400, 1, []string{"note: auth_server: unexpected status 400: if a proxy in front", "→ no user: 503 identity_unavailable"}},
		{"", 0, 1, []string{"→ no user: 401 identity_missing: the request has none of the headers that are forwarded"}},
	} {
		if s.setHandler(nil); c.status != 0 {
			s.setHandler(respondText(c.status, ""))
		}
		args := []string{"--config", config, "--response", "Remote-Email: mallory@evil.example"}
		if c.cookie != "" {
			args = append(args, "--header", "Cookie: "+c.cookie)
		}
		run(t, cli.IdentityCommand(), args...).ends(c.code, append([]string{"huma_token "}, c.says...)...).hides("mallory")
	}
}

// TestIdentityShowsClaim: of several claims, the command says which one is used, and
// where the keys were found.
func TestIdentityShowsClaim(t *testing.T) {
	p := newOpenIDProvider(t)
	issuer := p.keys.URL + "/oidc"
	config := caddyfileOf(t, "huma_token {\n"+newHuma(t, sandbox.Config{}).credentials()+"client_type ios\nidentity {\nemail Authorization email preferred_username upn\nverify {\nissuer "+issuer+"\naudience account\n}\n}\n}")
	for _, c := range []struct {
		claims map[string]any
		says   string
	}{
		{map[string]any{"email": "", "upn": "ada@x.example"}, "ada@x.example (from upn)"},
		{map[string]any{"preferred_username": "ada@x.example", "upn": "bob@x.example"}, "ada@x.example (from preferred_username)"},
	} {
		run(t, cli.IdentityCommand(), "--config", config, "--header", "Authorization: Bearer "+p.token("ada", "clinic-app", c.claims)).
			ends(0, c.says, "note: the discovery document of the issuer names the JWKS "+issuer+"\n", "→ ada@x.example")
	}
}
