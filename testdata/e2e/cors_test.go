package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// corsRecipe returns the Caddyfile of docs/cors.md for an authentication
// directive in front of the endpoint, with other names.
func corsRecipe(t *testing.T, site, page, authServer string) string {
	t.Helper()
	section := string(read(t, "../../docs/cors.md"))
	blocks := strings.Split(section, "```caddyfile\n")
	text, _, _ := strings.Cut(blocks[len(blocks)-1], "```")
	for from, to := range map[string]string{
		"api.example.com {": site + " {", "https://app.example.com": page, "config_file /etc/huma/huma-config.json": "HUMA", "oauth2-proxy:4180": authServer,
		"uri /oauth2/auth": "uri /api/authz/forward-auth", "X-Auth-Request-Email": "Remote-Email", "identity oauth2_proxy": "identity authelia", // the fake is one of Authelia
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("the documented recipe has no %q:\n%s", from, text)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

// startSessions starts an auth server with the session s-ada, in a cookie or as a Bearer
// token. The session down makes it fail.
func startSessions(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if c, err := r.Cookie("session"); err == nil {
			session = c.Value
		}
		switch session {
		case "s-ada":
			w.Header().Set("Remote-Email", "ada@clinic.example")
		case "down":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// fetched is the result of fetch in a page.
type fetched struct {
	Status            int
	Body, Retry, Type string
	Error             string // the request was blocked, or its response
}

// fetch calls fetch in the page, with the options in JavaScript.
func (p *tab) fetch(t *testing.T, address, options string) (f fetched) {
	t.Helper()
	p.eval(t, `window.fetched = undefined;
		fetch(`+strconv.Quote(address)+`, `+options+`).then(
			async (r) => { window.fetched = JSON.stringify({status: r.status, body: await r.text(), retry: r.headers.get("Retry-After") ?? "", type: r.type}); },
			(e) => { window.fetched = JSON.stringify({error: String(e)}); });
		0`)
	p.wait(t, "window.fetched !== undefined")
	if err := json.Unmarshal([]byte(p.eval(t, "window.fetched").(string)), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestBrowserCORS calls the endpoint from pages of other origins. Ports are other origins
// of the same site, and localhost and 127.0.0.1 are different sites.
func TestBrowserCORS(t *testing.T) {
	c := startChromium(t, needChromium(t))
	auth := startSessions(t)
	appPort, otherPort, recipePort := freePort(t), freePort(t), freePort(t)
	app, crossSite, other := "http://127.0.0.1:"+appPort, "http://localhost:"+appPort, "http://127.0.0.1:"+otherPort
	port := freePort(t)
	s := startSite(t, port, app+", "+crossSite+", "+other+`, http://localhost:`+otherPort+` {
	header Content-Type text/html
	respond "<!doctype html><title>a web app</title>"
}
http://127.0.0.1:`+port+` {
	huma_token {
		HUMA
		identity authelia {
			auth_server http://`+auth+`
		}
		allow_origins `+app+` `+crossSite+`
	}
}
`+corsRecipe(t, "http://127.0.0.1:"+recipePort, app, auth))
	const tokens = "/private/huma-token"
	own, recipe := s.url+tokens, "http://127.0.0.1:"+recipePort+tokens

	const (
		withCookie = `{credentials: "include"}`
		withToken  = `{headers: {Authorization: "Bearer s-ada", "Cache-Control": "no-cache", Pragma: "no-cache"}}`
		signOut    = `{method: "DELETE", credentials: "include"}`
		post       = `{method: "POST", credentials: "include", headers: {"Content-Type": "application/json"}, body: "{}"}`
		blocked    = 0 // the status of a request that fails
	)
	for _, test := range []struct {
		name, page, address, cookie, options string
		status                               int
		body                                 string // part of it
	}{
		{"a cookie", app, own, "s-ada", withCookie, 200, `"authToken"`},
		{"a cookie, behind forward_auth", app, recipe, "s-ada", withCookie, 200, `"authToken"`},
		{"a Bearer token and no-cache", app, own, "", withToken, 200, `"authToken"`},
		{"a Bearer token and no-cache, behind forward_auth", app, recipe, "", withToken, 200, `"authToken"`},
		{"a Bearer token, from another site", crossSite, own, "", withToken, 200, `"authToken"`},
		{"JSON", app, own, "s-ada", post, 200, `"authToken"`},
		{"JSON, behind forward_auth", app, recipe, "s-ada", post, 200, `"authToken"`},
		{"sign-out", app, own, "s-ada", signOut, 204, ""},
		{"sign-out, behind forward_auth", app, recipe, "s-ada", signOut, 204, ""},
		{"not signed in", app, own, "", withCookie, 401, `"code":"identity_missing"`},
		{"not signed in, behind forward_auth", app, recipe, "", withCookie, 401, ""},
		{"not signed in, from another site", crossSite, own, "", withCookie, 401, `"code":"identity_missing"`},
		{"a wrong Bearer token", app, own, "", strings.Replace(withToken, "s-ada", "wrong", 1), 401, `"code":"identity_missing"`},
		{"a wrong Bearer token, behind forward_auth", app, recipe, "", strings.Replace(withToken, "s-ada", "wrong", 1), 401, ""},
		{"the auth server is down", app, own, "down", withCookie, 503, `"code":"identity_unavailable"`},

		{"a cookie, not listed", other, own, "s-ada", withCookie, blocked, ""},
		{"a cookie, not listed, behind forward_auth", other, recipe, "s-ada", withCookie, blocked, ""},
		{"a Bearer token, not listed", other, own, "", withToken, blocked, ""},
		{"a Bearer token, not listed, behind forward_auth", other, recipe, "", withToken, blocked, ""},
		{"a Bearer token, from another site, not listed", "http://localhost:" + otherPort, own, "", withToken, blocked, ""},
		{"a header that is not allowed", app, own, "s-ada", `{headers: {"X-Other": "1"}, credentials: "include"}`, blocked, ""},
		{"a method that is not allowed", app, own, "s-ada", `{method: "PUT", credentials: "include"}`, blocked, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := c.open(t, test.page+"/")
			p.wait(t, `document.title === "a web app"`)
			if test.cookie != "" {
				p.eval(t, `document.cookie = "session=`+test.cookie+`"`)
			}
			f := p.fetch(t, test.address, test.options)
			if f.Status != test.status || !strings.Contains(f.Body, test.body) || (f.Error != "") != (test.status == blocked) {
				t.Errorf("got %+v, want the status %d and %s", f, test.status, test.body)
			}
			if (f.Retry != "") != (test.status == 503) {
				t.Errorf("the page reads Retry-After %q", f.Retry)
			}
		})
	}
}
