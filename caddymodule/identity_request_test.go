package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestI11_Paths(t *testing.T) {
	const token = "huma_token {\nHUMA\nidentity basic_auth\n}\nrespond \"the application\" 404\n}"
	ours := []string{
		path, "/PRIVATE/Huma-Token", "//private//huma-token", "/private%2Fhuma-token", "/%70rivate/huma%2dtoken", "///private/huma-token",
		"/private/./huma-token", "/x/../private/huma-token", "/private/x/../huma-token", "/private/%2e/huma-token", "/%2e%2e/private/huma-token",
		path + "/.", "/private/huma-to\u212aen", // Caddy converts paths to lower case, and the Kelvin sign becomes a k
		path + "?client_type=ios", path + "?", path + "?/x", path + "#x",
	}
	others := []string{
		path + "/", path + "/x.css", path + ".css", path + ";x", path + "%00", path + "%20", path + "x", "/private", "/private/", "/huma-token",
		"/private/huma-toke", "/private/huma_token", "/x" + path, "/private%252Fhuma-token", "/private/huma-token%3Fx", `/private\huma-token`,
		"/private/huma-token/..", "/private/huma-token%2F", "/privаte/huma-token",
	}
	for name, auth := range map[string]string{
		"the whole site": accounts, "its private part": strings.Replace(accounts, "basic_auth", "basic_auth /private/*", 1),
		"this path": strings.Replace(accounts, "basic_auth", "basic_auth "+path, 1),
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, "SITE {\n"+auth+"\n"+token)
			for _, p := range ours {
				d.wantNoToken(t, 401, p)
				d.wantNoToken(t, 401, p, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "wrong") })
				d.wantTokenOf(t, "alice@x.example", p, password("alice@x.example"))
			}
			for _, p := range others {
				before := len(d.huma.Calls().Calls)
				a := d.raw(t, "GET "+p+" HTTP/1.1", "Host: SITE", "Connection: close", "Authorization: Basic YWxpY2VAeC5leGFtcGxlOndvbmRlcmxhbmQ=")
				if a.StatusCode != 404 && a.StatusCode != 400 || strings.Contains(string(a.Body), "identity") {
					t.Errorf("%s: status %d, want the response of another handler: %s", p, a.StatusCode, a.Body)
				}
				d.wantNoCalls(t, before)
			}
			// An absolute target has the same path.
			before := len(d.huma.Calls().Calls)
			a := d.raw(t, "GET http://SITE"+path+" HTTP/1.1", "Host: SITE", "Connection: close", "Authorization: Basic YWxpY2VAeC5leGFtcGxlOndvbmRlcmxhbmQ=")
			d.checkTokenOf(t, a, "alice@x.example", before)
			d.notLogged(t, "@x.example")
		})
	}
}

func TestI11_Methods(t *testing.T) {
	d := open(t, trustingSite)
	for _, method := range []string{"HEAD", "PUT", "PATCH", "TRACE", "CONNECT", "LINK", "get", "Post", "QUERY"} {
		for _, email := range []string{"a@x.example", ""} { // the method is checked first
			a := d.raw(t, method+" "+path+" HTTP/1.1", "Host: SITE", "Connection: close", "X-Test-User: "+email, "Content-Length: 0")
			if a.StatusCode != 405 || a.Header.Get("Allow") != "GET, POST, DELETE, OPTIONS" {
				t.Errorf("%s: status %d, Allow %q", method, a.StatusCode, a.Header.Get("Allow"))
			}
			a.noStore(t)
		}
	}
	// A method in another header has no effect.
	d.request("HEAD", path, as("a@x.example"), header("X-Http-Method-Override", "GET"))
	// CONNECT to an authority does not have the path of the directive.
	if a := d.raw(t, "CONNECT SITE HTTP/1.1", "Host: SITE", "Connection: close", "X-Test-User: a@x.example"); a.StatusCode == 200 || a.StatusCode == 405 {
		t.Errorf("CONNECT to the site: status %d: %s", a.StatusCode, a.Body)
	}
	d.wantNoCalls(t, 0)
	d.notLogged(t, "@x.example")
}

func TestI12_CrossSite(t *testing.T) {
	fetch := func(site string) func(*http.Request) { return header("Sec-Fetch-Site", site) }
	auth := func(v string) func(*http.Request) { return header("Authorization", v) }
	nothing := func(*http.Request) {}

	d := open(t, trustingSite)
	for _, site := range []string{"cross-site", "Cross-Site", "CROSS-SITE"} {
		d.wantRejection(t, 403, "cross_site", path, as("a@x.example"), fetch(site))
		d.wantRejection(t, 403, "cross_site", path, fetch(site)) // before the identity is read
		d.wantRejection(t, 403, "cross_site", path, as("nonsense"), as("twice"), fetch(site))
		d.wantRejection(t, 403, "cross_site", path+"?client_type=tv", as("a@x.example"), fetch(site))
	}
	d.wantRejection(t, 403, "cross_site", path, as("a@x.example"), fetch("same-origin"), fetch("cross-site"))
	// G1: requests may also have another Authorization, which a proxy or a handler may
	// have added.
	for _, v := range []string{"", "Bearer x", "bearer x", "BEARER x.y.z", "Basic YTpi", "Negotiate x"} {
		d.wantRejection(t, 403, "cross_site", path, as("a@x.example"), fetch("cross-site"), auth(v))
	}
	for _, method := range []string{"POST", "DELETE"} {
		d.request(method, path, as("a@x.example"), fetch("cross-site")).problem(t, 403, "cross_site")
	}
	d.wantNoCalls(t, 0)

	for _, site := range []string{"same-origin", "same-site", "none", "", "x-cross-site"} {
		d.wantTokenOf(t, "a@x.example", path, as("a@x.example"), fetch(site))
	}
	d.notLogged(t, "@x.example")

	d = open(t, strings.Replace(trustingSite, "HUMA", "HUMA\ncross_site allow", 1))
	d.wantTokenOf(t, "a@x.example", path, as("a@x.example"), fetch("cross-site"), nothing)
	d.wantRejection(t, 401, "identity_missing", path, fetch("cross-site"))
	d.notLogged(t, "@x.example")
}
