package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// corsRecipe returns the Caddyfile of docs/cors.md for an authentication directive in front
// of the endpoint, with HUMA in place of the options about the service. It removes the
// host, and replaces the auth server.
func corsRecipe(t testing.TB, authServer string) string {
	t.Helper()
	section := string(testutil.File(t, "../docs/cors.md"))
	blocks := strings.Split(section, "```caddyfile\n")
	text, _, _ := strings.Cut(blocks[len(blocks)-1], "```")
	for from, to := range map[string]string{
		"api.example.com {": "SITE {", "config_file /etc/huma/huma-config.json": "HUMA", "oauth2-proxy:4180": authServer,
		"uri /oauth2/auth": "uri /api/authz/forward-auth", "X-Auth-Request-Email": "Remote-Email", "identity oauth2_proxy": "identity authelia", // the fake is one of Authelia
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("the documented recipe has no %q:\n%s", from, text)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// TestCORSBehindAuthentication checks the documented recipe: a page can read the 401 of the
// authentication in front, preflights pass, and nothing else passes without a session.
func TestCORSBehindAuthentication(t *testing.T) {
	auth := startAuthServer(t)
	forwardAuth := corsRecipe(t, strings.TrimPrefix(auth.URL, "http://"))
	before, rest, _ := strings.Cut(forwardAuth, "\tforward_auth @protected")
	_, rest, _ = strings.Cut(rest, "\n\t}\n")
	basicAuth := before + "\tbasic_auth @protected {\n\t\talice@x.example $2a$10$JbodNYtYhPTg3jgJYvLqZ.8GmECVILZhu6LJQ20ktpivJ1FTeRQ.S\n\t}\n" + rest
	i, j := strings.Index(basicAuth, "identity authelia"), strings.Index(basicAuth, "allow_origins")
	basicAuth = basicAuth[:i] + "identity basic_auth\n\t\t" + basicAuth[j:]
	for name, c := range map[string]struct {
		text     string
		signedIn func(*http.Request)
		email    string
	}{
		"forward_auth": {forwardAuth, authSession("s-ada"), "ada@x.example"},
		"basic_auth":   {basicAuth, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "wonderland") }, "alice@x.example"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, strings.Replace(c.text, "huma_token {", "respond /app \"the application\"\nhuma_token {", 1))
			page := []func(*http.Request){origin(webApp), header("Sec-Fetch-Site", "same-site")}
			d.wantTokenOf(t, c.email, path, append(page, c.signedIn)...).wantCORS(t, webApp, "")
			a := d.request("GET", iosPath, page...)
			if a.StatusCode != 401 || a.Header.Get("Access-Control-Allow-Origin") != webApp || a.Header.Get("Access-Control-Allow-Credentials") != "true" ||
				!strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("not signed in: %d %v", a.StatusCode, a.Header)
			}
			a = d.request("OPTIONS", path, preflight(webApp)...)
			a.wantCORS(t, webApp, defaultAllowHeaders)
			if a.StatusCode != http.StatusNoContent {
				t.Errorf("the preflight has status %d", a.StatusCode)
			}

			// Other origins get no headers, and nothing passes without authentication.
			d.request("OPTIONS", path, preflight("https://evil.example")...).wantCORS(t, "", "")
			if a := d.request("GET", iosPath, origin("https://evil.example")); a.StatusCode != 401 || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("another origin: %d %v", a.StatusCode, a.Header)
			}
			for _, request := range [][2]string{{"OPTIONS", "/app"}, {"GET", "/app"}, {"GET", path}, {"POST", path}, {"DELETE", path}} {
				if a := d.request(request[0], request[1], page...); a.StatusCode != 401 {
					t.Errorf("%s without authentication: status %d", request, a.StatusCode)
				}
			}
		})
	}
}
