package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestErrorsCaddy(t *testing.T) {
	huma := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	text := `SITE {
		log
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
	d := &testSite{serve(t, fill(huma, text)), huma}
	check := func(a *response, status int, body string) {
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
	d.wantNoCalls(t, 0)
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
	d.wantTokenOf(t, "a@x.example", path, as("a@x.example"))
	d.notLogged(t, "@x.example", "@evil.example", "sandbox-secret")

	// Without handle_errors, the response is empty and has the header Cache-Control.
	bare := open(t, strings.Replace(trustingSite, "HUMA", "HUMA\nerrors caddy", 1))
	a := bare.wantNoToken(t, 401, path)
	a.noStore(t)
	if len(a.Body) != 0 {
		t.Errorf("a body: %s", a.Body)
	}
}

// TestErrorsCaddyOfHumanAPI is TestErrorsCaddy for the errors of human_api_token.
func TestErrorsCaddyOfHumanAPI(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, humanAPIToken.fill(huma, `SITE {
		DIRECTIVE {
			OPTIONS
			identity {
				user_id X-Test-User
				email X-Test-Email
				domains x.example
			}
			trust proxies 127.0.0.1
			errors caddy
			retries 0
			timeout 300ms
			breaker off
		}
		respond "the application"
		handle_errors {
			header X-Handled yes
			respond "{err.status_code} {http.human_api_token.error.code} {http.human_api_token.outcome} {http.request.uri.path}"
		}
	}`))
	email := header("X-Test-Email", "a@x.example")
	bodies := func(codes ...string) (faults []sandbox.Fault) {
		for i, code := range codes {
			faults = append(faults, sandbox.Fault{Op: []string{sandbox.OpSession, sandbox.OpID}[i], Code: code})
		}
		return faults
	}
	for _, c := range []struct {
		name   string
		method string
		edit   []func(*http.Request)
		faults []sandbox.Fault
		want   string
	}{
		{"unauthenticated", "GET", nil, nil, "401 identity_missing rejected"},
		{"no user", "GET", []func(*http.Request){as("{user}"), email}, nil, "401 identity_invalid rejected"},
		{"two users", "GET", []func(*http.Request){as("u1"), as("u2"), email}, nil, "401 identity_ambiguous rejected"},
		{"a domain", "GET", []func(*http.Request){as("u1"), header("X-Test-Email", "a@evil.example")}, nil, "403 domain_not_allowed rejected"},
		{"another site", "GET", []func(*http.Request){as("u1"), email, header("Sec-Fetch-Site", "cross-site")}, nil, "403 cross_site rejected"},
		{"a method", "PUT", []func(*http.Request){as("u1"), email}, nil, "405 method_not_allowed rejected"},
		{"neither token", "GET", []func(*http.Request){as("u1"), email}, bodies("SESSION_TOKEN_GENERATION_NOT_ALLOWED", "ID_TOKEN_GENERATION_NOT_ALLOWED"), "409 connect_unavailable refused"},
		{"credentials", "GET", []func(*http.Request){as("u1"), email}, bodies("INVALID_CLIENT_ID_OR_SECRET"), "502 upstream_config misconfigured"},
		{"a request", "GET", []func(*http.Request){as("u1"), email}, bodies("INVALID_TOKEN_TYPE"), "502 upstream_rejected misconfigured"},
		{"no JSON", "GET", []func(*http.Request){as("u1"), email}, []sandbox.Fault{{Op: sandbox.OpSession, Garbage: true}}, "502 upstream_bad_response bad_response"},
		{"an outage", "GET", []func(*http.Request){as("u1"), email}, []sandbox.Fault{{Op: sandbox.OpSession, Status: 503}}, "503 upstream_unavailable unavailable"},
		{"no response", "GET", []func(*http.Request){as("u1"), email}, []sandbox.Fault{{Op: sandbox.OpSession, Delay: 5 * time.Second}}, "504 upstream_timeout timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := huma.SetFaults(c.faults); err != nil {
				t.Fatal(err)
			}
			a := s.request(c.method, humanAPIToken.path, append(c.edit, header("Cache-Control", "no-cache"))...)
			if string(a.Body) != c.want+" "+humanAPIToken.path || strconv.Itoa(a.StatusCode) != c.want[:3] || a.Header.Get("X-Handled") != "yes" {
				t.Errorf("got %d %q, want %q", a.StatusCode, a.Body, c.want)
			}
			a.noStore(t)
			if (a.Header.Get("Retry-After") != "") != (a.StatusCode == 503) || (a.Header.Get("Allow") != "") != (a.StatusCode == 405) {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
	s.notLogged(t, "@x.example", "@evil.example", "sandbox-secret")
}

// TestRefusedCredentials checks that the log contains a hint until a config has had its
// first token, and that the response always contains the names of the options.
func TestRefusedCredentials(t *testing.T) {
	for of, c := range map[*tokenDirective]struct {
		fault sandbox.Fault
		hint  string
		names []string // options in the response
		not   []string
	}{
		humaToken: {
			sandbox.Fault{Op: sandbox.OpSignIn, Status: 401, Body: "{}"}, "check its signature, secret and IDs",
			[]string{"secret", "signature", "project_id", "deployment_id", "client_id"}, []string{"client_secret"},
		},
		humanAPIToken: {
			sandbox.Fault{Op: sandbox.OpSession, Status: 401, Body: "{}"}, "check its client_id and client_secret",
			[]string{"client_id", "client_secret"}, []string{"signature", "project_id", "deployment_id"},
		},
	} {
		t.Run(of.name, func(t *testing.T) {
			huma := newHuma(t, sandbox.Config{})
			text := of.site(huma, "retries 0")
			s := serve(t, text)
			setRejected := func(on bool) {
				t.Helper()
				var faults []sandbox.Fault
				if on {
					faults = append(faults, c.fault)
				}
				if err := huma.SetFaults(faults); err != nil {
					t.Fatal(err)
				}
			}
			checkRejection := func(user string, hinted bool) {
				t.Helper()
				before := len(s.log())
				a := s.request("GET", of.target(), as(user))
				a.problem(t, 502, "upstream_config")
				var v struct{ Detail string }
				if err := json.Unmarshal(a.Body, &v); err != nil {
					t.Fatal(err)
				}
				for _, name := range c.names {
					if !regexp.MustCompile(`\b` + name + `\b`).MatchString(v.Detail) {
						t.Errorf("the detail does not contain %s: %s", name, v.Detail)
					}
				}
				for _, name := range c.not {
					if strings.Contains(v.Detail, name) {
						t.Errorf("the detail contains %s: %s", name, v.Detail)
					}
				}
				logged := s.log()[before:]
				if strings.Contains(logged, c.hint) != hinted || hinted != strings.Contains(logged, `"level":"error"`) || !strings.Contains(logged, `"logger":"http.handlers.`+of.name+`"`) {
					t.Errorf("hint logged: %v: %s", hinted, logged)
				}
			}
			setRejected(true)
			checkRejection("a@x.example", true)
			setRejected(false)
			of.token(t, s.request("GET", of.target(), as("b@x.example")))
			setRejected(true)
			checkRejection("c@x.example", false)                                               // the same error within a second
			if err := s.load(strings.Replace(text, "retries 0", "retries 1", 1)); err != nil { // a new config
				t.Fatal(err)
			}
			checkRejection("d@x.example", true)
			s.notLogged(t, "@x.example", "sandbox-secret")
		})
	}
}

// accessLog returns the entries of the access log.
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

// accessLogSite is a site with an access log that contains the outcome.
const accessLogSite = `SITE {
	log
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
	s := serve(t, strings.Replace(fill(huma, accessLogSite), "cache off", "", 1))
	for _, c := range []struct {
		do            func() *response
		outcome, code string
		user          bool
	}{
		{func() *response { return s.request("GET", path, as("known@x.example")) }, "signed_in", "", true},
		{func() *response { return s.request("GET", path, as("known@x.example")) }, "hit", "", true},
		{func() *response { return s.request("GET", path, as("KNOWN@X.example")) }, "hit", "", true},
		{func() *response { return s.request("POST", path, as("new@x.example")) }, "registered", "", true},
		{func() *response { return s.request("DELETE", path, as("new@x.example")) }, "evicted", "", true},
		{func() *response { return s.request("GET", path) }, "rejected", "identity_missing", false},
		{func() *response { return s.request("PUT", path, as("a@x.example")) }, "rejected", "method_not_allowed", false},
		{func() *response { return s.request("GET", path+"?client_type=tv", as("a@x.example")) }, "rejected", "client_type_unknown", true},
		{func() *response { return s.request("GET", "/", as("a@x.example")) }, "", "", false},
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
		t.Errorf("the case of letters changes the name of the user: %v and %v", a, b)
	}
	if a, b := lines[0]["user"], lines[3]["user"]; a == b {
		t.Errorf("two users have the same name: %v", a)
	}
	s.notLogged(t, "@x.example", "@X.example")
}

// TestOutcomesOfHumanAPI is TestOutcomesInTheAccessLog for human_api_token, whose user
// IDs are compared byte for byte.
func TestOutcomesOfHumanAPI(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, strings.Replace(humanAPIToken.fill(huma, `SITE {
		log
		log_append outcome {http.human_api_token.outcome}
		log_append user {http.human_api_token.user}
		DIRECTIVE {
			OPTIONS
			identity {
				user_id X-Test-User
			}
			trust proxies 127.0.0.1
			hash_key one
		}
		respond "the application"
	}`), "cache off", "", 1))
	target := humanAPIToken.path
	var users []string
	for _, c := range []struct {
		do            func() *response
		outcome, code string
		user          bool
	}{
		{func() *response { return s.request("GET", target, as("u-1")) }, "signed_in", "", true},
		{func() *response { return s.request("POST", target, as("u-1")) }, "hit", "", true},
		{func() *response { return s.request("GET", target, as("U-1")) }, "signed_in", "", true},
		{func() *response { return s.request("GET", target+"?client_type=tv&type=id", as("u-1")) }, "hit", "", true},
		{func() *response { return s.request("DELETE", target, as("u-1")) }, "evicted", "", true},
		{func() *response { return s.request("GET", target, as("u-1")) }, "signed_in", "", true},
		{func() *response { return s.request("GET", target) }, "rejected", "identity_missing", false},
		{func() *response { return s.request("HEAD", target, as("u-1")) }, "rejected", "method_not_allowed", false},
		{func() *response { return s.request("GET", "/", as("u-1")) }, "", "", false},
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
		users = append(users, text("user"))
	}
	if users[0] != users[1] || users[0] == users[2] || users[0] != users[4] {
		t.Errorf("users %q", users)
	}
	// The name is the same in every process, so that logs of replicas can be compared,
	// and the same as `caddy huma identity` prints.
	if want := "d1a38c36"; users[0] != want {
		t.Errorf("u-1 with the key one is %q, want %q", users[0], want)
	}
	s.notLogged(t, "u-1", "U-1")
}

func TestHashKey(t *testing.T) {
	// user returns the name of a user in the access log.
	user := func(text, email string) string {
		d := open(t, text)
		d.request("GET", path, as(email)).tokens(t)
		eventually(t, 5*time.Second, "a line in the access log", func() bool { return len(d.accessLog()) > 0 })
		name, _ := d.accessLog()[0]["user"].(string)
		return name
	}
	keyed := func(key string) string { return strings.Replace(accessLogSite, "HASHKEY", key, 1) }
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
		"no key":       user(strings.Replace(accessLogSite, "hash_key HASHKEY", "", 1), "ada@x.example"),
		"another user": user(keyed("one"), "eda@x.example"),
	} {
		if other == one || len(other) != 8 {
			t.Errorf("%s: %q", name, other)
		}
	}
	// The name is the same in every process and version, so that logs of replicas and old
	// logs can be compared.
	if want := "efe25177"; one != want {
		t.Errorf("ada@x.example with the key one is %q, want %q", one, want)
	}
}
