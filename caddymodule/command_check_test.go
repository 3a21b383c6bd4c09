package caddymodule_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/check"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// checkDocument is a line of what caddy huma check --json prints.
type checkDocument struct{ Directive, Check, Result, Found, Write string }

// wholeMinutes takes out what a Date, in whole seconds, cannot tell.
var wholeMinutes = strings.NewReplacer("1m59s", "2m0s", "2m1s", "2m0s", "9m59s", "10m0s", "10m1s", "10m0s")

// check checks a config in both forms of output. It returns what --json prints.
func runCheck(t *testing.T, config string, args ...string) (code int, all []checkDocument) {
	t.Helper()
	args = append([]string{"--config", config, "--timeout", "20s"}, args...)
	text := run(t, check.Command(), args...).hides("sandbox-secret", "eyJ", redisKey)
	r := run(t, check.Command(), append(args, "--json")...).hides("sandbox-secret", "eyJ", redisKey)
	r.json(&all)
	problems := 0
	for i, c := range all {
		all[i].Found = wholeMinutes.Replace(c.Found)
		line := regexp.MustCompile(`(?m)^  ` + c.Check + ` +` + c.Result + ` +\S`)
		if !line.MatchString(text.out) || !strings.Contains(text.out, c.Write) || !strings.Contains(text.out, c.Directive) {
			t.Errorf("%+v is not in the text:\n%s", c, text.out)
		}
		if c.Result == "problem" {
			problems++
		}
		if (c.Write != "") != (c.Result == "problem" || c.Result == "warning") && c.Check != "config" {
			t.Errorf("what is there to write? %+v", c)
		}
	}
	if text.code != r.code || (problems > 0) != (r.code == 1) || r.code > 1 {
		t.Errorf("exit codes %d and %d with %d problems: %v", text.code, r.code, problems, r.err)
	}
	return r.code, all
}

// finds checks which results differ from those of a healthy config, as
// "check result: part of what was found → part of what to write".
func finds(t *testing.T, all []checkDocument, want ...string) {
	t.Helper()
	var rest []checkDocument
	for _, c := range all {
		if c.Result == "problem" || c.Result == "warning" {
			rest = append(rest, c)
		}
	}
	for _, line := range want {
		head, what, _ := strings.Cut(line, ": ")
		found, write, _ := strings.Cut(what, " → ")
		at := slices.IndexFunc(rest, func(c checkDocument) bool {
			return c.Check+" "+c.Result == head && strings.Contains(c.Found, found) && strings.Contains(c.Write, write)
		})
		if at < 0 {
			t.Errorf("not found: %s\nin %+v", line, all)
			continue
		}
		rest = slices.Delete(rest, at, at+1)
	}
	for _, c := range rest {
		t.Errorf("found as well: %+v", c)
	}
}

// results are the results of a directive's checks.
func results(all []checkDocument) map[string]string {
	m := make(map[string]string)
	for _, c := range all {
		m[c.Check] = c.Result
	}
	return m
}

// servers is the global option that says where a client's address comes from.
const trustedServers = "{\nservers {\ntrusted_proxies static 10.0.0.0/8\n}\n}\n"

// TestCheckHealthy: nothing is found, nobody is signed up, and there is a result
// for everything.
func TestCheckHealthy(t *testing.T) {
	r := redistest.Start(t)
	srv := newTLSService(t, sandbox.Config{}, testutil.Loopback(), systemAuthority)
	fake := newHuma(t, sandbox.Config{})
	// Both over TLS, by the authorities of the system and of the config.
	config := writeFile(t, "Caddyfile", trustedServers+"http://localhost:8080 {\n"+
		strings.ReplaceAll(humaBlock(srv, "tls {\nca "+systemAuthority.File+"\n}", withRedis(r, "1m", "")), "identity basic_auth", "identity authelia\ntrust proxies 10.0.0.0/8")+"\n"+
		humanBlock(srv)+"\n}\nhttp://localhost:8081 {\n"+humaBlock(fake, "registration off", "client_type web")+"\n}\n")
	code, all := runCheck(t, config)
	finds(t, all)
	if code != 0 || len(all) != 3*8 {
		t.Errorf("exit code %d with %d results", code, len(all))
	}
	byDirective := make(map[string][]checkDocument)
	for _, c := range all {
		byDirective[c.Directive] = append(byDirective[c.Directive], c)
	}
	ok := func(names ...string) map[string]string {
		want := make(map[string]string)
		for _, name := range []string{"config", "dns", "connection", "tls", "clock", "credentials", "client_ip", "redis"} {
			want[name] = "skipped"
		}
		for _, name := range names {
			want[name] = "ok"
		}
		return want
	}
	for directive, want := range map[string]map[string]string{ // an address is no name
		"huma_token 2 of srv0 (:8080)":      ok("config", "connection", "tls", "clock", "credentials", "client_ip", "redis"),
		"human_api_token 1 of srv0 (:8080)": ok("config", "connection", "tls", "clock", "credentials"),
		"huma_token 1 of srv1 (:8081)":      ok("config", "connection", "clock", "credentials"),
	} {
		if got := results(byDirective[directive]); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", directive, got, want)
		}
	}
	for _, c := range all {
		if c.Check == "credentials" && !strings.Contains(c.Found, "accepted: the service knows no such user (status 403, code ") {
			t.Errorf("%+v", c)
		}
	}
	for _, s := range []*fakeHuma{fake, srv} {
		if len(s.Users()) != 0 || len(s.HumanUsers()) != 0 || s.calls("signup") != 0 || s.calls("session") != 0 {
			t.Errorf("somebody became a user: %v %v", s.Users(), s.HumanUsers())
		}
		for _, c := range s.Calls().Calls {
			if !strings.HasSuffix(c.Email+c.ClientUserID, "example.invalid") {
				t.Errorf("a call for %s", c.Email+c.ClientUserID)
			}
		}
	}
}

// TestCheckOffline: nobody is called.
func TestCheckOffline(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	_, all := runCheck(t, caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress 127.0.0.1:1\nencryption_keys "+redisKey+"\n}\n}")), "--offline")
	finds(t, all)
	for _, name := range []string{"dns", "connection", "tls", "clock", "credentials", "redis"} {
		if results(all)[name] != "skipped" {
			t.Errorf("%s is not skipped", name)
		}
	}
	if n := len(fake.Calls().Calls); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestCheckFindsConfig: what keeps a config from loading, all of it, and what
// else is wrong with the same directive.
func TestCheckFindsConfig(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Secret: "another"})
	block := humaBlock(fake)
	unreadable := filepath.Join(t.TempDir(), "link") // also for root
	if err := os.Symlink("link", unreadable); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"a file that is not there": {caddyfileOf(t, strings.Replace(block, "api", "config_file /nonexistent/huma.json\napi", 1)),
			[]string{"config problem: config_file: open /nonexistent/huma.json: no such file → correct the path"}},
		"a file that cannot be read": {caddyfileOf(t, strings.Replace(block, "api", "config_file "+unreadable+"\napi", 1)),
			[]string{"config problem: config_file: open " + unreadable + " → it has to be a file that can be read"}},
		"a secret's file": {caddyfileOf(t, strings.Replace(block, "sandbox-secret", "{file./nonexistent/secret}", 1), strings.Replace(humanBlock(fake), "sandbox-secret", "{file./nonexistent/secret}", 1)),
			[]string{"config problem: client_secret: open /nonexistent/secret → correct the path", "config problem: secret: open /nonexistent/secret → correct the path"}},
		"no variable, no preset, no file": {caddyfileOf(t, "huma_token {\napi https://huma.invalid\nsecret {env.CADDY_HUMA_NOT_SET}\nidentity authelio\ntls {\nca /nonexistent/ca.pem\n}\n}"),
			[]string{
				"config problem: secret: the environment variable CADDY_HUMA_NOT_SET is not set → CADDY_HUMA_NOT_SET=… in the environment that Caddy is started with",
				"config problem: project_id: the project's id is missing", "config problem: deployment_id: ", "config problem: client_id: ",
				"config problem: unknown preset", "config problem: ca: open /nonexistent/ca.pem → correct the path",
			}},
		"identity alone": {caddyfileOf(t, strings.Replace(block, "identity basic_auth", "identity authelia", 1)), // the credentials are looked at all the same
			[]string{"config problem: trust", "credentials problem: status 401, code 100006 → secret"}},
		"two that disagree": {caddyfileOf(t, "handle /a {\n"+humaBlock(fake)+"\n}\nhandle {\n"+humaBlock(fake, "max_concurrent 7")+"\n}"),
			[]string{"config problem: another huma_token of the same account", "credentials problem: 100006", "credentials problem: 100006"}},
		"a header that the server keeps": {writeFile(t, "Caddyfile", "{\nservers {\nexpected_underscore_headers Remote_*\n}\n}\n"+"http://localhost:8080 {\n"+
			strings.Replace(block, "identity basic_auth", "identity authelia\ntrust proxies 127.0.0.1", 1)+"\n}"),
			[]string{"config problem: drops the request header Remote-Email", "config problem: Remote-Name", "config problem: Remote-User", "credentials problem: 100006", "client_ip warning: "}},
		"a field that there is not": {writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"huma_token","secrets":"x"}]}]}}}}}`),
			[]string{`config problem: unknown field "secrets"`}},
		"an option of another type": {writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"huma_token","identity":"canary"}]}]}}}}}`),
			[]string{"config problem: cannot unmarshal string into Go struct field HumaToken.Common.identity"}},
		"a config of another type": {writeFile(t, "c.json", `["canary"]`), []string{"config problem: read config: "}},
		"a server of another type": {writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":["canary"]}}}}`), []string{"config problem: read server s: "}},
		"a config that is none":    {writeFile(t, "c.json", `{"apps": canary`), []string{"config problem: not valid JSON"}},
		"a directory":              {t.TempDir(), []string{"config problem: is a directory → it has to be a file that can be read"}},
		"no such config":           {"/nonexistent/Caddyfile", []string{"config problem: no such file → correct the path"}},
		"no directive":             {writeFile(t, "Caddyfile", "http://localhost {\nrespond ok\n}\n"), []string{"config problem: has no huma_token and no human_api_token"}},
		"an option that there is not": {writeFile(t, "Caddyfile", "http://localhost {\nhuma_token {\nsecrets x\n}\n}\n"),
			[]string{"config problem: unrecognized option 'secrets'"}},
		"a key of Redis": {caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress 127.0.0.1:1\nencryption_keys c2hvcnQ=\n}\n}")),
			[]string{"config problem: encryption_keys: number 1 has 5 bytes", "credentials problem: 100006"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, all := runCheck(t, c.config)
			finds(t, all, c.want...)
			if strings.Contains(fmt.Sprint(all), "canary") {
				t.Errorf("a value is told: %v", all)
			}
		})
	}
}

// TestCheckFindsCredentials: each one that is wrong, whichever client type it is
// of.
func TestCheckFindsCredentials(t *testing.T) {
	human := func(clients map[string]string) sandbox.Config {
		return sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: clients}}
	}
	fault := func(f sandbox.Fault) []sandbox.Fault { return []sandbox.Fault{f} }
	for name, c := range map[string]struct {
		service sandbox.Config
		faults  []sandbox.Fault
		huma    string
		human   string // empty: what is found is Huma's alone
	}{
		"another secret": {sandbox.Config{Secret: "x", HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "x"}}}, nil,
			"credentials problem: ios, android, web: status 401, code 100006 → secret", "credentials problem: status 401, code INVALID_CLIENT_ID_OR_SECRET → client_secret"},
		"another project":     {sandbox.Config{ProjectID: "x"}, nil, "credentials problem: 100001 → project_id", ""},
		"another deployment":  {sandbox.Config{DeploymentID: "x"}, nil, "credentials problem: 100004 → deployment_id", ""},
		"one client id":       {sandbox.Config{ClientIDs: map[string]string{"ios": "c1", "web": "c3"}}, nil, "credentials problem: android: status 403, code 100002 → client_id", ""},
		"another application": {human(map[string]string{"other": "x"}), nil, "", "credentials problem: code INVALID_CLIENT_ID → client_id"},
		"another signature":   {sandbox.Config{Signature: sandbox.Signature{Encoding: "base64"}}, nil, "credentials problem: 100006 → signature", ""},
		"another path":        {sandbox.Config{Prefix: "/huma"}, nil, "credentials problem: 404 → api", "credentials warning: 404, which may be → api"},
		"down":                {sandbox.Config{}, fault(sandbox.Fault{Status: 503}), "credentials problem: the service is down → try again", "credentials problem: status 503 → try again"},
		"too many calls":      {sandbox.Config{}, fault(sandbox.Fault{Status: 429}), "credentials problem: status 429 → try again", "credentials problem: status 429"},
		"somebody else":       {sandbox.Config{}, fault(sandbox.Fault{Status: 200, Body: "<html>"}), "credentials problem: not JSON → api", "credentials problem: not JSON → api"},
		"a redirect":          {sandbox.Config{}, fault(sandbox.Fault{Redirect: "https://login.invalid/"}), "credentials problem: status 307 → api", "credentials problem: status 307 → api"},
		"401 by a proxy":      {sandbox.Config{}, fault(sandbox.Fault{Status: 401, Body: "no"}), "credentials problem: status 401 → secret", "credentials problem: status 401 → client_secret"},
		"no answer":           {sandbox.Config{}, fault(sandbox.Fault{Delay: 5 * time.Second}), "credentials problem: no answer", "credentials problem: no answer"},
		"a token for nobody":  {sandbox.Config{}, []sandbox.Fault{{Op: "signin", Status: 200, Body: `{"authToken":"x"}`}, {Op: "id", Status: 200, Body: `{"id_token":"x"}`}}, "credentials warning: somebody whom there is not", "credentials warning: somebody whom there is not"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newHuma(t, c.service)
			if err := fake.SetFaults(c.faults); err != nil {
				t.Fatal(err)
			}
			const quick = "retries 0\nattempt_timeout 200ms"
			for block, want := range map[string]string{humaBlock(fake, quick): c.huma, humanBlock(fake, quick): c.human} {
				_, all := runCheck(t, caddyfileOf(t, block))
				if want == "" {
					finds(t, all)
				} else {
					finds(t, all, want)
				}
			}
			if len(fake.Users())+len(fake.HumanUsers()) > 0 {
				t.Error("somebody became a user")
			}
		})
	}
}

// TestCheckByAUser: with a user that there is, the answer is sure; and one that
// cannot be is no user.
func TestCheckByAUser(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Users: []string{"bob@x.example"}})
	fake.AddHumanUser("hapi1", "u-1")
	if _, err := fake.Connect(sandbox.Connection{ClientUserID: "u-1"}); err != nil {
		t.Fatal(err)
	}
	config := caddyfileOf(t, humaBlock(fake), humanBlock(fake))
	_, all := runCheck(t, config, "--email", "bob@x.example", "--user-id", "u-1")
	finds(t, all)
	for _, c := range all {
		if c.Check == "credentials" && !strings.HasSuffix(c.Found, "a token came") {
			t.Errorf("%+v", c)
		}
	}
	_, all = runCheck(t, config, "--email", "bob")
	finds(t, all, "credentials problem: identity_invalid → --email")
	// A 403 alone does not say whom it is about.
	if err := fake.SetFaults([]sandbox.Fault{{Status: 403, Body: "{}"}}); err != nil {
		t.Fatal(err)
	}
	_, all = runCheck(t, config)
	finds(t, all)
	for _, c := range all {
		if c.Check == "credentials" && !strings.Contains(c.Found, "as far as can be told") {
			t.Errorf("%+v", c)
		}
	}
}

// TestCheckFindsClock: how far apart clocks may be depends on what is made of the
// time.
func TestCheckFindsClock(t *testing.T) {
	timestamp := "signature hmac-sha256 {\npayload {sig.timestamp}{sig.body}\n}\nheader_up X-Timestamp {sig.timestamp}"
	for name, c := range map[string]struct {
		service sandbox.Signature
		ahead   time.Duration // of the service's clock
		options string
		want    string // empty: nothing is found
	}{
		"right":                {ahead: 0},
		"half a minute":        {ahead: 30 * time.Second},
		"two minutes behind":   {ahead: 2 * time.Minute, want: "clock warning: this machine's clock is 2m0s behind the service's → timedatectl"},
		"ten minutes behind":   {ahead: 10 * time.Minute, want: "clock problem: this machine's clock is 10m0s behind the service's → timedatectl"},
		"ten minutes ahead":    {ahead: -10 * time.Minute, want: "clock problem: this machine's clock is 10m0s ahead of the service's"},
		"the time is signed":   {sandbox.Signature{Payload: "{sig.timestamp}{sig.body}"}, 2 * time.Minute, timestamp, "clock problem: 2m0s behind the service's, and it matters: calls are signed with the time"},
		"the time is sent":     {ahead: 2 * time.Minute, options: "header_up X-Timestamp {sig.timestamp}", want: "clock problem: calls carry the time"},
		"hawk":                 {sandbox.Signature{Algorithm: "hawk", ID: "h"}, 2 * time.Minute, "signature hawk {\nid h\n}", "clock problem: calls are signed with the time"},
		"signed, and the same": {sandbox.Signature{Payload: "{sig.timestamp}{sig.body}"}, 0, timestamp, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fake := servedBy(t, sandbox.Config{Signature: c.service}, func(w http.ResponseWriter) {
				w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
			})
			_, all := runCheck(t, caddyfileOf(t, humaBlock(fake, c.options)))
			if c.want == "" {
				finds(t, all)
			} else {
				finds(t, all, c.want)
			}
		})
	}
	silent := servedBy(t, sandbox.Config{}, func(w http.ResponseWriter) { w.Header()["Date"] = nil })
	if _, all := runCheck(t, caddyfileOf(t, humaBlock(silent))); results(all)["clock"] != "skipped" {
		t.Errorf("%v", all)
	}
	// Assertions are believed for their time.
	late := servedBy(t, sandbox.Config{}, func(w http.ResponseWriter) {
		w.Header().Set("Date", time.Now().Add(-2*time.Minute).UTC().Format(http.TimeFormat))
	})
	verify := strings.Replace(humaBlock(late), "identity basic_auth", "identity google_iap {\nverify {\naudience /projects/1/global/backendServices/2\n}\n}", 1)
	_, all := runCheck(t, caddyfileOf(t, verify))
	finds(t, all, "clock problem: signed assertions are believed for their time", "client_ip warning: `identity google_iap` → trusted_proxies static private_ranges")
}

// TestCheckFindsCertificates: what is wrong with the service's.
func TestCheckFindsCertificates(t *testing.T) {
	other := testutil.NewAuthority(t.TempDir(), "another authority")
	expired, early, elsewhere, named := testutil.Loopback(), testutil.Loopback(), testutil.Loopback(), testutil.Loopback()
	expired.NotAfter = time.Now().Add(-time.Hour)
	early.NotBefore = time.Now().Add(30 * time.Minute)
	elsewhere.IPAddresses, elsewhere.DNSNames = []net.IP{net.IPv4(127, 0, 0, 9)}, nil
	named.IPAddresses, named.DNSNames = nil, []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	clientCertificate := func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
	for name, c := range map[string]struct {
		template *x509.Certificate
		signer   *testutil.Authority
		edit     []func(*tls.Config)
		want     string
	}{
		"expired":           {expired, systemAuthority, nil, "tls problem: the certificate of 127.0.0.1 has expired on " + expired.NotAfter.UTC().Format(time.RFC3339) + " → renewed"},
		"not yet good":      {early, systemAuthority, nil, "tls problem: is good from → set this machine's clock"},
		"another host's":    {elsewhere, systemAuthority, nil, "tls problem: not for 127.0.0.1 but for 127.0.0.9 → correct the option api"},
		"other names":       {named, systemAuthority, nil, "tls problem: but for a.example, b.example, c.example, d.example and 1 more"},
		"self-signed":       {testutil.Loopback(), nil, nil, "tls problem: is self-signed, and not trusted → TRUST"},
		"unknown authority": {testutil.Loopback(), other, nil, "tls problem: by another authority, who is not trusted → TRUST"},
		"no TLS":            {nil, nil, nil, "tls problem: does not speak TLS → port"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newTLSService(t, sandbox.Config{}, c.template, c.signer, c.edit...)
			for block, trust := range map[string]string{humaBlock(fake, "retries 0"): "tls { ca ", humanBlock(fake, "retries 0"): "authority"} {
				_, all := runCheck(t, caddyfileOf(t, block))
				finds(t, all, strings.Replace(c.want, "TRUST", trust, 1))
				if r := results(all); r["connection"] != "ok" || r["clock"] != "skipped" || r["credentials"] != "skipped" {
					t.Errorf("%v", all)
				}
			}
			if len(fake.Calls().Calls) > 0 {
				t.Error("a request was sent")
			}
		})
	}
	t.Run("a client certificate is wanted", func(t *testing.T) {
		fake := newTLSService(t, sandbox.Config{}, testutil.Loopback(), systemAuthority, clientCertificate)
		_, all := runCheck(t, caddyfileOf(t, humaBlock(fake)))
		finds(t, all, "tls problem: it may want a client certificate → client_certificate", "credentials problem: no answer")
	})
}

// TestCheckFindsNetwork: a name that is none, and an address where nobody is.
func TestCheckFindsNetwork(t *testing.T) {
	noNames(t)
	fake := newHuma(t, sandbox.Config{})
	at := func(address string) string { return strings.Replace(humaBlock(fake), fake.URL, address, 1) }
	_, all := runCheck(t, caddyfileOf(t, at("https://something.invalid")))
	finds(t, all, "dns problem: lookup something.invalid → correct the option api")
	for _, name := range []string{"connection", "tls", "clock", "credentials"} {
		if results(all)[name] != "skipped" {
			t.Errorf("%s: %v", name, all)
		}
	}
	_, all = runCheck(t, caddyfileOf(t, at("http://"+freeAddress(t))))
	finds(t, all, "connection problem: connection refused → firewall")

	// One that is not there does not keep the other from being looked at.
	_, all = runCheck(t, caddyfileOf(t, "handle /a {\n"+at("https://something.invalid")+"\n}\nhandle {\n"+humaBlock(fake, "max_concurrent 7")+"\n}"))
	finds(t, all, "dns problem: something.invalid")
}

// noNames makes every name be looked up at a server that knows none.
func noNames(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			query[2], query[3] = 0x81, 0x83 // an answer: there is no such name (RFC 1035, 4.1.1)
			_, _ = server.WriteTo(query[:n], from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// TestCheckFindsClientIP: what Huma would be told of a user's address.
func TestCheckFindsClientIP(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	proxied := strings.Replace(humaBlock(fake), "identity basic_auth", "identity authelia\ntrust proxies 10.0.0.0/8 192.168.0.1", 1)
	server := func(lines string) string { return "{\nservers {\n" + lines + "\n}\n}\n" }
	for name, c := range map[string]struct {
		global, block, result, found string
		want                         string
	}{
		"nobody in front":     {"", humaBlock(fake), "ok", "whoever connects", ""},
		"a proxy in front":    {"", proxied, "warning", "", "client_ip warning: the proxy's address → servers { trusted_proxies static 10.0.0.0/8 192.168.0.1 }"},
		"headers not read":    {server("client_ip_headers X-Real-Ip"), humaBlock(fake), "problem", "", "client_ip problem: X-Real-Ip is not looked at → trusted_proxies static private_ranges"},
		"trusted proxies":     {server("trusted_proxies static 10.0.0.0/8"), proxied, "ok", "in X-Forwarded-For; if the proxy adds", ""},
		"all that is needed":  {server("trusted_proxies static 10.0.0.0/8\ntrusted_proxies_strict\nclient_ip_headers X-Real-Ip"), proxied, "ok", "names in X-Real-Ip", ""},
		"nobody is signed up": {"", strings.Replace(proxied, "api", "registration off\napi", 1), "skipped", "nobody is signed up", ""},
		"Human API":           {"", humanBlock(fake), "skipped", "nobody is signed up", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, all := runCheck(t, writeFile(t, "Caddyfile", c.global+"http://localhost:8080 {\n"+c.block+"\n}\n"))
			if c.want == "" {
				finds(t, all)
			} else {
				finds(t, all, c.want)
			}
			for _, found := range all {
				if found.Check == "client_ip" && (found.Result != c.result || !strings.Contains(found.Found, c.found)) {
					t.Errorf("%+v", found)
				}
			}
		})
	}
}

// TestCheckFindsRedis: whether the store can be used.
func TestCheckFindsRedis(t *testing.T) {
	r := redistest.Start(t, "--requirepass", "canary")
	fake := newHuma(t, sandbox.Config{})
	redis := func(address, more string) string {
		return caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress "+address+"\nencryption_keys "+redisKey+"\n"+more+"\n}\n}"))
	}
	_, all := runCheck(t, redis(r.Addr(), "password canary"))
	finds(t, all)
	_, all = runCheck(t, redis(r.Addr(), ""))
	finds(t, all, "redis problem: NOAUTH → password")
	_, all = runCheck(t, redis(r.Addr(), "password wrong-canary"))
	finds(t, all, "redis problem: WRONGPASS → password")
	_, all = runCheck(t, redis(freeAddress(t), ""))
	finds(t, all, "redis problem: connection refused → address")
	if strings.Contains(fmt.Sprint(all), "canary") {
		t.Errorf("the password is told: %v", all)
	}
}

// TestCheckEnds: whatever hangs, it is over when the time is.
func TestCheckEnds(t *testing.T) {
	hangs := testutil.Listen(t)
	fake := &fakeHuma{URL: "http://" + hangs.Addr().String()}
	config := caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress "+hangs.Addr().String()+"\nencryption_keys "+redisKey+"\n}\n}\ntimeout 1s"), humanBlock(fake, "timeout 1s"))
	began := time.Now()
	r := run(t, check.Command(), "--config", config, "--timeout", "500ms")
	r.ends(1, "human_api_token", "credentials  problem", "no answer: the time was over", "huma_token", "credentials  problem", "redis        problem")
	secure := caddyfileOf(t, strings.Replace(humaBlock(fake), "http:", "https:", 1))
	run(t, check.Command(), "--config", secure, "--timeout", "500ms").
		ends(1, "connection   ok", "tls          problem", "no answer to the handshake", "→ is the port in the option api the one for https?", "credentials  skipped")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCheckUsage(t *testing.T) {
	for args, part := range map[string]string{
		"--timeout 0s":         "--timeout: it must be positive",
		"--online":             "unknown flag",
		"Caddyfile":            "unknown command",
		"":                     "there is no Caddyfile in this directory",
		"--timeout x":          "invalid",
		"--config a --json=no": "invalid",
	} {
		run(t, check.Command(), strings.Fields(args)...).fails(2, part)
	}
}
