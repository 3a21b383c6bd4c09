package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// token is a huma_token for the accounts of basic_auth.
const token = `huma_token {
	HUMA
	identity basic_auth
}
`

// The directive has a place of its own, so that a site needs no global order
// line wherever it is written.
func TestOrderIsRegistered(t *testing.T) {
	l := newLayer(t)
	l.says(http.Header{"Remote-Email": {"alice@x.example"}})
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
	forwarded := "huma_token {\nHUMA\nidentity authelia\ntrust forward_auth\n}\n"
	for name, lines := range map[string]string{
		"first":                               token + auth + rest,
		"last":                                rest + auth + token,
		"a catch-all handle":                  auth + "handle {\n" + rest + "}\n" + token,
		"a catch-all handle with its own":     auth + "handle {\nroute {\n" + rest + "}\n}\n" + token,
		"a catch-all proxy":                   "reverse_proxy " + app.URL + "\n" + token + auth,
		"a catch-all route":                   "route {\n" + rest + "}\n" + auth + token,
		"a handle of the same path":           "handle /private/* {\n" + rest + "}\n" + auth + token,
		"handle_path strips the prefix":       "handle_path /private/* {\n" + rest + "}\nhandle {\n" + rest + "}\n" + auth + token,
		"inside handle_path":                  "handle_path /private/* {\n" + auth + "huma_token /huma-token {\nHUMA\nidentity basic_auth\n}\n}\n" + rest,
		"authentication beside it in handle":  "handle /private/* {\n" + token + auth + "}\n" + rest,
		"in an order written down":            "route {\n" + auth + token + rest + "}\n",
		"behind forward_auth":                 forwarded + forward + "handle {\n" + rest + "}\n",
		"behind forward_auth, before a proxy": "reverse_proxy " + app.URL + "\n" + forwarded + forward,
		"after request_header":                forwarded + forward + "request_header -Remote-Email\nrequest_header X-Added y\n" + rest,
		"compressed otherwise":                "encode gzip\n" + auth + token + rest,
		"templates and a file server":         "root " + page + "\ntemplates\nfile_server\n" + auth + token,
		"try_files in a handle":               "root " + page + "\nhandle {\ntry_files {path} /index.html\nfile_server\n}\n" + auth + token,
		"a matcher of its own":                auth + "@token path " + path + " /other\n" + strings.Replace(token, "huma_token", "huma_token @token", 1) + rest,
		"every path":                          auth + strings.Replace(token, "huma_token", "huma_token *", 1) + rest,
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, "SITE {\n"+lines+"}")
			d.granted(t, "alice@x.example", path, password("alice@x.example"))
			if a := d.request("GET", "/elsewhere", password("alice@x.example")); name == "every path" {
				a.tokens(t)
			} else if strings.Contains(string(a.Body), "authToken") {
				t.Errorf("/elsewhere gives a token: %d %s", a.StatusCode, a.Body)
			}
			if !strings.Contains(name, "forward_auth") && name != "after request_header" {
				d.stopped(t, 401, path)
			}
			if w := d.warnings(""); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			d.quiet(t, "@x.example")
		})
	}
}

// These are the traps that the documentation tells of.
func TestOrderTraps(t *testing.T) {
	page := t.TempDir()
	if err := os.WriteFile(filepath.Join(page, "index.html"), []byte("the application"), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := password("alice@x.example")

	t.Run("try_files rewrites the path first", func(t *testing.T) {
		d := open(t, "SITE {\nroot "+page+"\ntry_files {path} /index.html\nfile_server\n"+accounts+"\n"+token+"}")
		if a := d.stopped(t, 200, path, alice); string(a.Body) != "the application" {
			t.Errorf("not the page: %s", a.Body)
		}
		d.stopped(t, 401, path)
	})
	t.Run("uri strip_prefix rewrites the path first", func(t *testing.T) {
		d := open(t, "SITE {\nuri strip_prefix /private\n"+accounts+"\n"+token+"respond 404\n}")
		d.stopped(t, 404, path, alice)
		d.granted(t, "alice@x.example", "/private"+path, alice)
	})
	t.Run("handle_path strips the prefix", func(t *testing.T) {
		d := open(t, "SITE {\nhandle_path /private/* {\n"+accounts+"\n"+token+"respond 404\n}\n}")
		d.stopped(t, 404, path, alice)
	})
	t.Run("authentication inside a handle", func(t *testing.T) {
		for _, inside := range []string{"handle {\n" + accounts + "\nrespond 404\n}\n" + token, "route {\n" + token + accounts + "\n}\n", "handle_path /private/* {\n" + accounts + "\n}\n" + token} {
			d := open(t, "SITE {\n"+inside+"}")
			for range 5 {
				d.refused(t, 401, "identity_missing", path, alice)
			}
			if w := d.warnings("no authentication ran before this handler"); len(w) != 1 {
				t.Errorf("warnings %q, want one", w)
			}
			d.quiet(t, "@x.example")
		}
	})
	t.Run("forward_auth inside a handle", func(t *testing.T) {
		l := newLayer(t)
		l.says(http.Header{"Remote-Email": {"alice@x.example"}})
		d := open(t, "SITE {\nhandle {\nforward_auth "+l.URL+" {\nuri /verify\n}\nrespond 404\n}\nhuma_token {\nHUMA\nidentity authelia\ntrust forward_auth\n}\n}")
		for range 5 {
			d.refused(t, 401, "identity_missing", path, header("Remote-Email", "mallory@evil.example"))
		}
		if w := d.warnings(""); len(w) != 1 || !strings.Contains(d.log(), "no forward_auth ran before this handler") {
			t.Errorf("warnings %q, want one", w)
		}
	})
	t.Run("a copied header is gone before it can be trusted", func(t *testing.T) {
		// vars runs before authentication, map only when it is looked at.
		d := open(t, "SITE {\n"+accounts+"\nvars user_email {http.auth.user.id}\nhuma_token {\nHUMA\nidentity {\nemail {http.vars.user_email}\n}\n}\n}")
		d.refused(t, 401, "identity_missing", path, alice)
		d = open(t, "SITE {\n"+accounts+"\nmap {http.auth.user.id} {user_email} {\ndefault {http.auth.user.id}\n}\nhuma_token {\nHUMA\nidentity {\nemail {user_email}\n}\n}\n}")
		d.granted(t, "alice@x.example", path, alice)
	})
	t.Run("encode written before it in a route", func(t *testing.T) {
		d := open(t, "SITE {\nroute {\n"+accounts+"\nencode gzip\n"+token+"}\n}")
		d.stopped(t, 200, "/elsewhere", alice, header("Accept-Encoding", "gzip"))
		if a := d.request("GET", path, alice, header("Accept-Encoding", "gzip")); a.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("not encoded: %d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("respond in front of it", func(t *testing.T) {
		d := open(t, "SITE {\nroute {\n"+accounts+"\nrespond 404\n"+token+"}\n}")
		d.stopped(t, 404, path, alice)
	})
}

func TestEncodeLeavesTokensAlone(t *testing.T) {
	long := strings.Repeat("the application ", 100)
	gzip := header("Accept-Encoding", "gzip, zstd")
	d := open(t, "SITE {\nencode gzip zstd\n"+accounts+"\n"+token+"respond \""+long+"\"\n}")
	a := d.granted(t, "alice@x.example", path, password("alice@x.example"), gzip)
	if got := a.Header.Get("Content-Encoding"); got != "" || len(a.Body) < 512 {
		t.Errorf("the token is encoded: %q, %d bytes", got, len(a.Body))
	}
	a.noStore(t)
	// The same site compresses whatever is not ours.
	if a := d.request("GET", "/", password("alice@x.example"), gzip); a.Header.Get("Content-Encoding") == "" {
		t.Errorf("nothing is encoded: %v", a.Header)
	}
}

func TestErrorsCaddy(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	text := `SITE {
		log
		log_append code {http.huma_token.error.code}
		log_append outcome {http.huma_token.outcome}
		huma_token {
			HUMA
			identity {
				email X-Test-User
				domains x.example
			}
			trust proxies 127.0.0.1
			errors caddy
			retries 0
			registration off
		}
		respond "the application"
		handle_errors {
			header X-Handled yes
			respond "{err.status_code} {http.huma_token.error.code} {http.huma_token.outcome} {http.request.uri.path}"
		}
	}`
	d := &desk{serve(t, fill(huma, text)), huma}
	check := func(a *answer, status int, body string) {
		t.Helper()
		if a.StatusCode != status || string(a.Body) != body || a.Header.Get("X-Handled") != "yes" {
			t.Errorf("got %d %q, want %d %q", a.StatusCode, a.Body, status, body)
		}
		a.noStore(t)
		if (a.Header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%d: Retry-After %q", status, a.Header.Get("Retry-After"))
		}
	}
	check(d.request("GET", path), 401, "401 identity_missing rejected "+path)
	check(d.request("GET", path, as("a b@x.example")), 401, "401 identity_invalid rejected "+path)
	check(d.request("GET", path, as("a@evil.example")), 403, "403 domain_not_allowed rejected "+path)
	check(d.request("GET", path, as("a@x.example"), header("Sec-Fetch-Site", "cross-site")), 403, "403 cross_site rejected "+path)
	check(d.request("GET", path+"?client_type=tv", as("a@x.example")), 400, "400 client_type_unknown rejected "+path)
	put := d.request("PUT", path, as("a@x.example"))
	check(put, 405, "405 method_not_allowed rejected "+path)
	if put.Header.Get("Allow") == "" {
		t.Error("no Allow")
	}
	d.untouched(t, 0)
	check(d.request("GET", path, as("unknown@x.example")), 403, "403 not_registered refused "+path)
	if err := huma.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignIn, Status: 503}}); err != nil {
		t.Fatal(err)
	}
	check(d.request("GET", path, as("a@x.example")), 503, "503 upstream_unavailable unavailable "+path)
	if err := huma.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignIn, Status: 401}}); err != nil {
		t.Fatal(err)
	}
	check(d.request("GET", path, as("a@x.example")), 502, "502 upstream_config misconfigured "+path)
	_ = huma.SetFaults(nil)
	d.granted(t, "a@x.example", path, as("a@x.example"))
	d.quiet(t, "@x.example", "@evil.example", "sandbox-secret")

	// Without handle_errors the answer is empty, and still not to be stored.
	bare := open(t, strings.Replace(trusting, "HUMA", "HUMA\nerrors caddy", 1))
	a := bare.stopped(t, 401, path)
	a.noStore(t)
	if len(a.Body) != 0 {
		t.Errorf("a body: %s", a.Body)
	}
}

// accessLog finds the access log's lines, by the status they report.
func (s *site) accessLog() (lines []map[string]any) {
	for line := range strings.SplitSeq(s.log(), "\n") {
		var entry map[string]any
		_ = json.Unmarshal([]byte(line), &entry)
		if logger, _ := entry["logger"].(string); strings.HasPrefix(logger, "http.log.access") {
			lines = append(lines, entry)
		}
	}
	return lines
}

// logging is a site whose access log tells how requests ended.
const logging = `SITE {
	log
	log_append outcome {http.huma_token.outcome}
	log_append user {http.huma_token.user}
	log_append code {http.huma_token.error.code}
	huma_token {
		HUMA
		identity {
			email X-Test-User
		}
		trust proxies 127.0.0.1
		hash_key HASHKEY
	}
	respond "the application"
}`

func TestOutcomesInTheAccessLog(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"known@x.example"}})
	s := serve(t, strings.Replace(fill(huma, logging), "cache off", "", 1))
	for _, c := range []struct {
		do            func() *answer
		outcome, code string
		user          bool
	}{
		{func() *answer { return s.request("GET", path, as("known@x.example")) }, "signed_in", "", true},
		{func() *answer { return s.request("GET", path, as("known@x.example")) }, "hit", "", true},
		{func() *answer { return s.request("GET", path, as("KNOWN@X.example")) }, "hit", "", true},
		{func() *answer { return s.request("POST", path, as("new@x.example")) }, "registered", "", true},
		{func() *answer { return s.request("DELETE", path, as("new@x.example")) }, "evicted", "", true},
		{func() *answer { return s.request("GET", path) }, "rejected", "identity_missing", false},
		{func() *answer { return s.request("PUT", path, as("a@x.example")) }, "rejected", "method_not_allowed", false},
		{func() *answer { return s.request("GET", path+"?client_type=tv", as("a@x.example")) }, "rejected", "client_type_unknown", true},
		{func() *answer { return s.request("GET", "/", as("a@x.example")) }, "", "", false},
	} {
		before := len(s.accessLog())
		c.do()
		var lines []map[string]any
		eventually(t, 5*time.Second, "a line in the access log", func() bool {
			lines = s.accessLog()
			return len(lines) > before
		})
		line := lines[len(lines)-1]
		text := func(key string) string { v, _ := line[key].(string); return v }
		if text("outcome") != c.outcome || text("code") != c.code || regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(text("user")) != c.user {
			t.Errorf("outcome %q, code %q, user %q; want %q, %q, %v", line["outcome"], line["code"], line["user"], c.outcome, c.code, c.user)
		}
	}
	lines := s.accessLog()
	if a, b := lines[0]["user"], lines[2]["user"]; a != b {
		t.Errorf("the case of letters makes two users: %v and %v", a, b)
	}
	if a, b := lines[0]["user"], lines[3]["user"]; a == b {
		t.Errorf("two users are one: %v", a)
	}
	s.quiet(t, "@x.example", "@X.example")
}

func TestHashKey(t *testing.T) {
	// user is by which name the access log knows a user.
	user := func(text, email string) string {
		d := open(t, text)
		d.request("GET", path, as(email)).tokens(t)
		eventually(t, 5*time.Second, "a line in the access log", func() bool { return len(d.accessLog()) > 0 })
		name, _ := d.accessLog()[0]["user"].(string)
		return name
	}
	keyed := func(key string) string { return strings.Replace(logging, "HASHKEY", key, 1) }
	t.Setenv("TEST_HASH_KEY", "one")
	one := user(keyed("one"), "ada@x.example")
	for name, same := range map[string]string{
		"another load":  user(keyed("one"), "ada@x.example"),
		"other letters": user(keyed("one"), "ADA@X.example"),
		"a placeholder": user(keyed("{env.TEST_HASH_KEY}"), "ada@x.example"),
	} {
		if same != one {
			t.Errorf("%s: %q, want %q", name, same, one)
		}
	}
	for name, other := range map[string]string{
		"another key":  user(keyed("two"), "ada@x.example"),
		"no key":       user(strings.Replace(logging, "hash_key HASHKEY", "", 1), "ada@x.example"),
		"another user": user(keyed("one"), "eda@x.example"),
	} {
		if other == one || len(other) != 8 {
			t.Errorf("%s: %q", name, other)
		}
	}
	// The same in every process and every version, so that logs of replicas
	// and of last year can be compared.
	if want := "efe25177"; one != want {
		t.Errorf("ada@x.example with the key one is %q, want %q", one, want)
	}
}
