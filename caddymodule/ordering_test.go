package caddymodule_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// basicAuthDirective is a directive for the accounts of basic_auth. In the Caddyfiles of
// these tests, DIRECTIVE is replaced by the name, and OPTIONS by options to call the
// sandbox for each request.
const basicAuthDirective = `DIRECTIVE {
	OPTIONS
	identity basic_auth
}
`

// directiveSite is a testSite with either directive.
type directiveSite struct {
	*testSite
	directive *tokenDirective
}

// open serves a Caddyfile with the directive.
func (d *tokenDirective) open(t testing.TB, text string) *directiveSite {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	return &directiveSite{&testSite{serve(t, d.fill(huma, text)), huma}, d}
}

// fill replaces DIRECTIVE and OPTIONS in a Caddyfile.
func (d *tokenDirective) fill(huma *fakeHuma, text string) string {
	return strings.NewReplacer("DIRECTIVE", d.name, "OPTIONS", d.credentials(huma)+"cache off\n").Replace(text)
}

// wantTokenOf makes a request that must get the token of one user, with calls for no
// other user.
func (k *directiveSite) wantTokenOf(t testing.TB, who, target string, edit ...func(*http.Request)) *response {
	t.Helper()
	if k.directive == humaToken {
		return k.testSite.wantTokenOf(t, who, target, edit...)
	}
	before := len(k.huma.Calls().Calls)
	a := k.request("GET", target, edit...)
	k.directive.token(t, a)
	calls := k.huma.Calls().Calls[before:]
	if len(calls) != 1 || calls[0].Op != sandbox.OpSession || calls[0].ClientUserID != who {
		t.Errorf("calls at Human API %+v, want one for %q", calls, who)
	}
	return a
}

// isToken reports whether a response has a token of either directive.
func (a *response) isToken() bool {
	return strings.Contains(string(a.Body), "authToken") || strings.Contains(string(a.Body), `_token"`)
}

// TestOrderIsRegistered checks that the directive has a registered order, so that no
// global option is needed, wherever it is in a site.
func TestOrderIsRegistered(t *testing.T) {
	for _, d := range bothDirectives {
		t.Run(d.name, func(t *testing.T) { checkOrder(t, d) })
	}
}

func checkOrder(t *testing.T, of *tokenDirective) {
	path := of.path
	l := newLayer(t)
	l.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}, "Remote-User": {"alice@x.example"}})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		_, _ = w.Write([]byte("the application, for " + r.Header.Get("X-Added")))
	}))
	t.Cleanup(func() {
		app.CloseClientConnections()
		app.Close()
	})
	page := t.TempDir()
	if err := os.WriteFile(filepath.Join(page, "index.html"), []byte("the application"), 0o600); err != nil {
		t.Fatal(err)
	}
	const rest = `respond "the application" 404` + "\n"
	auth := accounts + "\n"
	forward := "forward_auth " + l.URL + " {\nuri /verify\n}\n"
	forwarded := "DIRECTIVE {\nOPTIONS\nidentity authelia\ntrust forward_auth\n}\n"
	for name, lines := range map[string]string{
		"first":                               basicAuthDirective + auth + rest,
		"last":                                rest + auth + basicAuthDirective,
		"a catch-all handle":                  auth + "handle {\n" + rest + "}\n" + basicAuthDirective,
		"a catch-all handle with its own":     auth + "handle {\nroute {\n" + rest + "}\n}\n" + basicAuthDirective,
		"a catch-all proxy":                   "reverse_proxy " + app.URL + "\n" + basicAuthDirective + auth,
		"a catch-all route":                   "route {\n" + rest + "}\n" + auth + basicAuthDirective,
		"a handle of the same path":           "handle /private/* {\n" + rest + "}\n" + auth + basicAuthDirective,
		"handle_path strips the prefix":       "handle_path /private/* {\n" + rest + "}\nhandle {\n" + rest + "}\n" + auth + basicAuthDirective,
		"inside handle_path":                  "handle_path /private/* {\n" + auth + "DIRECTIVE " + strings.TrimPrefix(path, "/private") + " {\nOPTIONS\nidentity basic_auth\n}\n}\n" + rest,
		"authentication beside it in handle":  "handle /private/* {\n" + basicAuthDirective + auth + "}\n" + rest,
		"in an order written down":            "route {\n" + auth + basicAuthDirective + rest + "}\n",
		"behind forward_auth":                 forwarded + forward + "handle {\n" + rest + "}\n",
		"behind forward_auth, before a proxy": "reverse_proxy " + app.URL + "\n" + forwarded + forward,
		"after request_header":                forwarded + forward + "request_header -Remote-Email\nrequest_header X-Added y\n" + rest,
		"compressed otherwise":                "encode gzip\n" + auth + basicAuthDirective + rest,
		"templates and a file server":         "root " + page + "\ntemplates\nfile_server\n" + auth + basicAuthDirective,
		"try_files in a handle":               "root " + page + "\nhandle {\ntry_files {path} /index.html\nfile_server\n}\n" + auth + basicAuthDirective,
		"a matcher of its own":                auth + "@token path " + path + " /other\n" + strings.Replace(basicAuthDirective, "DIRECTIVE", "DIRECTIVE @token", 1) + rest,
		"every path":                          auth + strings.Replace(basicAuthDirective, "DIRECTIVE", "DIRECTIVE *", 1) + rest,
	} {
		t.Run(name, func(t *testing.T) {
			d := of.open(t, "SITE {\n"+lines+"}")
			d.wantTokenOf(t, "alice@x.example", path, password("alice@x.example"))
			if a := d.request("GET", "/elsewhere", password("alice@x.example")); name == "every path" {
				of.token(t, a)
			} else if a.isToken() {
				t.Errorf("/elsewhere responds with a token: %d %s", a.StatusCode, a.Body)
			}
			if !strings.Contains(name, "forward_auth") && name != "after request_header" {
				d.wantNoToken(t, 401, path)
			}
			if w := d.warnings(""); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			d.notLogged(t, "@x.example")
		})
	}
}

// TestOrderTraps checks the mistakes that the documentation describes.
func TestOrderTraps(t *testing.T) {
	for _, d := range bothDirectives {
		t.Run(d.name, func(t *testing.T) { checkTraps(t, d) })
	}
}

func checkTraps(t *testing.T, of *tokenDirective) {
	path := of.path
	page := t.TempDir()
	if err := os.WriteFile(filepath.Join(page, "index.html"), []byte("the application"), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := password("alice@x.example")

	t.Run("try_files rewrites the path first", func(t *testing.T) {
		d := of.open(t, "SITE {\nroot "+page+"\ntry_files {path} /index.html\nfile_server\n"+accounts+"\n"+basicAuthDirective+"}")
		if a := d.wantNoToken(t, 200, path, alice); string(a.Body) != "the application" {
			t.Errorf("not the page: %s", a.Body)
		}
		d.wantNoToken(t, 401, path)
	})
	t.Run("uri strip_prefix rewrites the path first", func(t *testing.T) {
		d := of.open(t, "SITE {\nuri strip_prefix /private\n"+accounts+"\n"+basicAuthDirective+"respond 404\n}")
		d.wantNoToken(t, 404, path, alice)
		d.wantTokenOf(t, "alice@x.example", "/private"+path, alice)
	})
	t.Run("handle_path strips the prefix", func(t *testing.T) {
		d := of.open(t, "SITE {\nhandle_path /private/* {\n"+accounts+"\n"+basicAuthDirective+"respond 404\n}\n}")
		d.wantNoToken(t, 404, path, alice)
	})
	t.Run("authentication inside a handle", func(t *testing.T) {
		for _, inside := range []string{"handle {\n" + accounts + "\nrespond 404\n}\n" + basicAuthDirective, "route {\n" + basicAuthDirective + accounts + "\n}\n", "handle_path /private/* {\n" + accounts + "\n}\n" + basicAuthDirective} {
			d := of.open(t, "SITE {\n"+inside+"}")
			for range 5 {
				d.wantRejection(t, 401, "identity_missing", path, alice)
			}
			d.warnedOnce(t, "no authentication ran before this handler: if the authentication is inside a handle or route block")
			d.notLogged(t, "@x.example")
		}
	})
	t.Run("forward_auth inside a handle", func(t *testing.T) {
		l := newLayer(t)
		l.setHeaders(http.Header{"Remote-Email": {"alice@x.example"}, "Remote-User": {"alice@x.example"}})
		d := of.open(t, "SITE {\nhandle {\nforward_auth "+l.URL+" {\nuri /verify\n}\nrespond 404\n}\nDIRECTIVE {\nOPTIONS\nidentity authelia\ntrust forward_auth\n}\n}")
		for range 5 {
			d.wantRejection(t, 401, "identity_missing", path, header("Remote-Email", "mallory@evil.example"))
		}
		d.warnedOnce(t, "no forward_auth ran before this handler: if forward_auth is inside a handle or route block")
	})
	t.Run("a variable is set before authentication", func(t *testing.T) {
		// vars runs before authentication; map is evaluated when its value is needed.
		d := of.open(t, "SITE {\n"+accounts+"\nvars user_email {http.auth.user.id}\nDIRECTIVE {\nOPTIONS\nidentity {\n"+of.identityOption+" {http.vars.user_email}\n}\n}\n}")
		d.wantRejection(t, 401, "identity_missing", path, alice)
		d = of.open(t, "SITE {\n"+accounts+"\nmap {http.auth.user.id} {user_email} {\ndefault {http.auth.user.id}\n}\nDIRECTIVE {\nOPTIONS\nidentity {\n"+of.identityOption+" {user_email}\n}\n}\n}")
		d.wantTokenOf(t, "alice@x.example", path, alice)
	})
	t.Run("encode before the directive in a route", func(t *testing.T) {
		d := of.open(t, "SITE {\nroute {\n"+accounts+"\nencode gzip {\nminimum_length 1\n}\n"+basicAuthDirective+"}\n}")
		d.wantNoToken(t, 200, "/elsewhere", alice, header("Accept-Encoding", "gzip"))
		if a := d.request("GET", path, alice, header("Accept-Encoding", "gzip")); a.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("not encoded: %d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("respond before the directive", func(t *testing.T) {
		d := of.open(t, "SITE {\nroute {\n"+accounts+"\nrespond 404\n"+basicAuthDirective+"}\n}")
		d.wantNoToken(t, 404, path, alice)
	})
}

func TestTokensAreNotEncoded(t *testing.T) {
	gzip := header("Accept-Encoding", "gzip, zstd")
	for _, of := range bothDirectives {
		t.Run(of.name, func(t *testing.T) {
			d := of.open(t, "SITE {\nencode gzip zstd {\nminimum_length 1\n}\n"+accounts+"\n"+basicAuthDirective+"respond \"the application\"\n}")
			a := d.wantTokenOf(t, "alice@x.example", of.path, password("alice@x.example"), gzip)
			if got := a.Header.Get("Content-Encoding"); got != "" {
				t.Errorf("the token is encoded: %q", got)
			}
			a.noStore(t)
			// The same site compresses other responses.
			if a := d.request("GET", "/", password("alice@x.example"), gzip); a.Header.Get("Content-Encoding") == "" {
				t.Errorf("nothing is encoded: %v", a.Header)
			}
		})
	}
}
