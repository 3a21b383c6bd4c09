package caddymodule_test

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// webApp is a listed origin.
const webApp = "https://app.example.com"

// allowOrigins is the option of the sites in these tests.
const allowOrigins = "allow_origins " + webApp + " capacitor://localhost http://localhost\n"

// origin returns an edit that adds an Origin to a request.
func origin(v string) func(*http.Request) { return header("Origin", v) }

// preflight returns the edits of a browser's preflight of an origin.
func preflight(of string) []func(*http.Request) {
	return []func(*http.Request){
		origin(of), header("Access-Control-Request-Method", "GET"), header("Access-Control-Request-Headers", "authorization,cache-control"),
		header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "cors"),
	}
}

// wantCORS checks all CORS headers of a response, which are those for a page of an
// origin, or none if the origin is empty, and Vary. allowHeaders is empty unless the
// response is one to a preflight.
func (a *response) wantCORS(t testing.TB, origin, allowHeaders string) {
	t.Helper()
	want := make(map[string]string)
	if origin != "" {
		want["Access-Control-Allow-Origin"] = origin
		want["Access-Control-Allow-Credentials"] = "true"
		want["Access-Control-Expose-Headers"] = "Retry-After"
	}
	if allowHeaders != "" {
		want["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
		want["Access-Control-Allow-Headers"] = allowHeaders
		want["Access-Control-Max-Age"] = "7200"
	}
	got := make(map[string]string)
	for name, values := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			got[name] = strings.Join(values, " | ")
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s with status %d has %v, want %v", a.Request.Method, a.StatusCode, got, want)
	}
	if vary := strings.Join(a.Header.Values("Vary"), ", "); !strings.Contains(", "+vary+",", ", Origin,") {
		t.Errorf("%s with status %d has Vary %q", a.Request.Method, a.StatusCode, vary)
	}
}

// defaultAllowHeaders is the value of Access-Control-Allow-Headers without options that
// add one.
const defaultAllowHeaders = "Authorization, Content-Type, Cache-Control, Pragma"

// TestCORS checks that each response to a listed origin can be read by its pages, and
// none by those of another origin.
func TestCORS(t *testing.T) {
	cross := header("Sec-Fetch-Site", "cross-site")
	user := as("a@x.example")
	type edits = []func(*http.Request)
	for _, errorFormat := range []string{"problem", "caddy"} {
		t.Run("errors "+errorFormat, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				fake := newHuma(t, sandbox.Config{})
				p.addUsers(fake, "a@x.example")
				s := serve(t, p.site(fake, allowOrigins+"cache off\nretries 0\nerrors "+errorFormat))
				for _, c := range []struct {
					name, method string
					edit         edits
					status       int
					origin       string
				}{
					{"a token", "GET", edits{user, origin(webApp), cross}, 200, webApp},
					{"a token of POST", "POST", edits{user, origin(webApp), cross}, 200, webApp},
					{"evicted", "DELETE", edits{user, origin(webApp), cross}, 204, webApp},
					{"not signed in", "GET", edits{origin(webApp), cross}, 401, webApp},
					{"not signed in, evicting", "DELETE", edits{origin(webApp), cross}, 401, webApp},
					{"two users", "GET", edits{user, user, origin(webApp), cross}, 401, webApp},
					{"a method that is not allowed", "PUT", edits{user, origin(webApp), cross}, 405, webApp},
					{"OPTIONS that is no preflight", "OPTIONS", edits{origin(webApp), cross}, 204, webApp},
					{"without Fetch Metadata", "GET", edits{user, origin(webApp)}, 200, webApp},
					{"on the same site", "GET", edits{user, origin(webApp), header("Sec-Fetch-Site", "same-site")}, 200, webApp},
					{"G4 a WebView", "GET", edits{user, header("Cookie", "s=1"), origin("capacitor://localhost")}, 200, "capacitor://localhost"},
					{"G4 a WebView over http", "GET", edits{user, header("Cookie", "s=1"), origin("http://localhost")}, 200, "http://localhost"},
					{"a Bearer token", "GET", edits{user, bearer("x"), origin(webApp), cross}, 200, webApp},

					{"no origin", "GET", edits{user}, 200, ""},
					{"no origin, not signed in", "GET", nil, 401, ""},
					{"same origin", "GET", edits{user, origin("http://" + s.address), header("Sec-Fetch-Site", "same-origin")}, 200, ""},
					{"the same site, not listed", "GET", edits{user, origin("https://other.example.com"), header("Sec-Fetch-Site", "same-site")}, 200, ""},
					{"not listed", "GET", edits{user, origin("https://evil.example"), cross}, 403, ""},
					{"not listed, POST", "POST", edits{user, origin("https://evil.example"), cross}, 403, ""},
					{"not listed, DELETE", "DELETE", edits{user, origin("https://evil.example"), cross}, 403, ""},
					{"not listed, OPTIONS", "OPTIONS", edits{origin("https://evil.example"), cross}, 204, ""},
					{"not listed, PUT", "PUT", edits{user, origin("https://evil.example"), cross}, 405, ""},
					{"G2 not listed, without Fetch Metadata", "GET", edits{user, origin("https://evil.example")}, 403, ""},
					{"null", "GET", edits{user, origin("null"), cross}, 403, ""},
					{"empty", "GET", edits{user, origin(""), cross}, 403, ""},
					{"*", "GET", edits{user, origin("*"), cross}, 403, ""},
					{"G1 an image, with Authorization", "GET", edits{user, bearer("x"), cross, header("Sec-Fetch-Mode", "no-cors")}, 403, ""},
					{"upper case", "GET", edits{user, origin("https://APP.example.com"), cross}, 403, ""},
					{"another scheme", "GET", edits{user, origin("http://app.example.com"), cross}, 403, ""},
					{"another port", "GET", edits{user, origin(webApp + ":8443"), cross}, 403, ""},
					{"the default port", "GET", edits{user, origin(webApp + ":443"), cross}, 403, ""},
					{"a suffix", "GET", edits{user, origin(webApp + ".evil.example"), cross}, 403, ""},
					{"a subdomain", "GET", edits{user, origin("https://x.app.example.com"), cross}, 403, ""},
					{"a path", "GET", edits{user, origin(webApp + "/"), cross}, 403, ""},
					{"two origins", "GET", edits{user, origin(webApp), origin("https://evil.example"), cross}, 403, ""},
					{"a listed origin twice", "GET", edits{user, origin(webApp), origin(webApp), cross}, 403, ""},
					{"two origins in one header", "GET", edits{user, origin(webApp + ", https://evil.example"), cross}, 403, ""},
				} {
					a := s.request(c.method, p.target(), c.edit...)
					if a.StatusCode != c.status {
						t.Errorf("%s: status %d, want %d: %s", c.name, a.StatusCode, c.status, a.Body)
					}
					a.wantCORS(t, c.origin, "")
					a.noStore(t)
					if t.Failed() {
						t.Fatal(c.name)
					}
				}
				must(t, fake.SetFaults([]sandbox.Fault{{Status: 503}}))
				if a := s.request("GET", p.target(), user, origin(webApp), cross); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
					t.Errorf("the service is down: status %d %v", a.StatusCode, a.Header)
				} else {
					a.wantCORS(t, webApp, "")
				}
			})
		})
	}
}

// TestCORSPreflight checks the responses to preflights, which have no credentials.
func TestCORSPreflight(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, allowOrigins))
		for of, want := range map[string]string{
			webApp: webApp, "capacitor://localhost": "capacitor://localhost", "https://evil.example": "", "null": "", "*": "", "": "", "https://App.example.com": "",
		} {
			headers := ""
			if want != "" {
				headers = defaultAllowHeaders
			}
			a := s.request("OPTIONS", p.path, preflight(of)...)
			a.wantCORS(t, want, headers)
			a.noStore(t)
			if a.StatusCode != http.StatusNoContent || len(a.Body) != 0 || a.Header.Get("Allow") == "" {
				t.Errorf("%s: status %d %v", of, a.StatusCode, a.Header)
			}
		}
		s.request("OPTIONS", p.path, header("Access-Control-Request-Method", "GET")).wantCORS(t, "", "")
		p.wantCalls(t, fake, 0, 0)
	})
}

// TestCORSAllowHeaders checks that pages may set the request headers that the options
// name, except those that only browsers and proxies set.
func TestCORSAllowHeaders(t *testing.T) {
	auth, application := startAuthServer(t), testutil.Serve(t, func(http.ResponseWriter, *http.Request) {})
	keys := newKeyServer(t)
	verify := "issuer " + keys.URL + "\njwks " + keys.URL + "\naudience clinic\n"
	for name, c := range map[string]struct{ options, more string }{
		"vary":                    {"identity {\nemail X-Test-User\n}\ntrust proxies 127.0.0.1\ncache 1m {\nvary {header.x-device-id} {http.request.header.Origin} {query.tab}\n}", "X-Device-Id"},
		"auth_server":             {"identity authelia {\nauth_server " + auth.URL + " {\nforward_headers X-Session x-api-key Referer Sec-Fetch-Site\n}\n}", "X-Api-Key, X-Session"},
		"userinfo":                {"userinfo " + application + " {\nemail user.email\nforward_headers Cookie Host X-Session\n}", "X-Session"},
		"verify":                  {"identity {\nemail X-Token email\nverify {\n" + verify + "}\n}", "X-Token"},
		"a cookie":                {"identity {\nemail {http.request.cookie.__session} email\nverify {\n" + verify + "}\n}", ""},
		"a preset":                {"identity firebase {\nproject clinic-1\n}", ""},
		"a token before userinfo": {"userinfo " + application + " {\nemail email\nverify {\ntoken X-Token\n" + verify + "}\n}", "X-Token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "SITE {\nhuma_token {\n"+newHuma(t, sandbox.Config{}).credentials()+allowOrigins+c.options+"\n}\n}")
			want := defaultAllowHeaders
			if c.more != "" {
				want += ", " + c.more
			}
			s.request("OPTIONS", path, preflight(webApp)...).wantCORS(t, webApp, want)
		})
	}
}

// TestCORSIdentityErrors checks that a page can read the errors of each way to identify a
// user.
func TestCORSIdentityErrors(t *testing.T) {
	var status atomic.Int32 // of the auth server and the application
	backend := testutil.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // is not passed on
		w.Header().Set("Remote-Email", "ada@other.example")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(`{"email":"ada@other.example","email_verified":false}`))
	})
	sites := map[string]string{
		"auth_server": "identity authelia {\ndomains x.example\nauth_server " + backend + "\n}",
		"userinfo":    "userinfo " + backend + " {\nemail email\n}",
	}
	for name, options := range sites {
		t.Run(name, func(t *testing.T) {
			d := open(t, "SITE {\nhuma_token {\nHUMA\n"+allowOrigins+options+"\n}\n}")
			for _, c := range []struct {
				status int32
				want   int
				edit   func(*http.Request)
			}{
				{200, 403, header("Cookie", "s=1")}, {401, 401, bearer("x")}, {401, 401, header("Cookie", "s=1")}, {403, 403, bearer("x")}, {500, 503, bearer("x")},
				{200, 401, header("X-Other", "no credentials")},
			} {
				status.Store(c.status)
				for _, method := range []string{"GET", "POST", "DELETE"} {
					a := d.request(method, iosPath, c.edit, origin(webApp), header("Sec-Fetch-Site", "cross-site"))
					if a.StatusCode != c.want {
						t.Errorf("%d: status %d, want %d", c.status, a.StatusCode, c.want)
					}
					a.wantCORS(t, webApp, "")
				}
			}
		})
	}
}

// TestCORSIsTheOnlySource checks that the headers of other handlers in front do not let
// more origins read a token.
func TestCORSIsTheOnlySource(t *testing.T) {
	text := strings.Replace(trustingSite, "HUMA", "HUMA\n"+allowOrigins, 1)
	d := open(t, strings.Replace(text, "SITE {", "SITE {\nheader {\nAccess-Control-Allow-Origin *\n+Vary Accept-Language\n}\n", 1))
	d.request("GET", iosPath, as("a@x.example"), origin(webApp)).wantCORS(t, webApp, "")
	d.request("GET", iosPath, as("a@x.example"), origin("https://other.example.com"), header("Sec-Fetch-Site", "same-site")).wantCORS(t, "", "")
	if got := d.request("GET", "/elsewhere", origin(webApp)).Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("another path has Access-Control-Allow-Origin %q", got)
	}
}

// TestNoCORS checks that without the option nothing is added, and that cross_site allow
// does not let pages read a response.
func TestNoCORS(t *testing.T) {
	for _, options := range []string{"", "cross_site allow"} {
		d := open(t, strings.Replace(trustingSite, "HUMA", "HUMA\n"+options, 1))
		for _, edit := range [][]func(*http.Request){preflight(webApp), {as("a@x.example"), origin(webApp)}} {
			for _, method := range []string{"GET", "OPTIONS"} {
				a := d.request(method, iosPath, edit...)
				for name := range a.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%q: %s has %s", options, method, name)
					}
				}
				if strings.Contains(a.Header.Get("Vary"), "Origin") {
					t.Errorf("Vary is %q", a.Header.Get("Vary"))
				}
			}
		}
	}
}

// TestCORSPlaceholders checks that origins from the environment are checked when the
// config loads.
func TestCORSPlaceholders(t *testing.T) {
	t.Setenv("APP_ORIGIN", webApp)
	t.Setenv("BAD_ORIGIN", webApp+"/")
	text := strings.Replace(trustingSite, "HUMA", "HUMA\nallow_origins {env.APP_ORIGIN}", 1)
	d := open(t, text)
	d.request("GET", iosPath, as("a@x.example"), origin(webApp)).wantCORS(t, webApp, "")
	err := d.load(fill(d.huma, strings.ReplaceAll(text, "APP_ORIGIN", "BAD_ORIGIN")))
	if err == nil || !strings.Contains(err.Error(), "allow_origins: '"+webApp+"/' is not the form that browsers send: write "+webApp) {
		t.Errorf("the error is %v", err)
	}
}
