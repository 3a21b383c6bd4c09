package caddymodule_test

import (
	"fmt"
	"maps"
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

// checkDocument is one result in the output of caddy huma check --json.
type checkDocument struct {
	Directives                          []string
	Account, Check, Result, Detail, Fix string
}

// directive returns the name of the first directive of a result, or "".
func (c checkDocument) directive() string {
	if len(c.Directives) == 0 {
		return ""
	}
	return c.Directives[0]
}

// wholeMinutes removes the inaccuracy of the header Date, which has whole seconds.
var wholeMinutes = strings.NewReplacer("1m59s", "2m0s", "2m1s", "2m0s", "9m59s", "10m0s", "10m1s", "10m0s")

// runCheck checks a config with both forms of output, and returns the results of --json.
func runCheck(t *testing.T, config string, args ...string) (code int, all []checkDocument) {
	t.Helper()
	args = append([]string{"--config", config, "--timeout", "20s"}, args...)
	text := run(t, check.Command(), args...).hides("sandbox-secret", "eyJ", redisKey)
	r := run(t, check.Command(), append(args, "--json")...).hides("sandbox-secret", "eyJ", redisKey)
	r.json(&all)
	all = slices.DeleteFunc(all, func(c checkDocument) bool { // the secrets of these tests
		return c.Result == "warning" && strings.Contains(c.Detail, "is written in plain text")
	})
	problems := 0
	for i, c := range all {
		all[i].Detail = wholeMinutes.Replace(c.Detail)
		line := regexp.MustCompile(`(?m)^  ` + c.Check + ` +` + c.Result + ` +\S`)
		if c.Result != "skipped" && !line.MatchString(text.out) || !strings.Contains(text.out, c.Fix) || !strings.Contains(text.out, c.directive()) && !strings.Contains(text.out, " more\n") {
			t.Errorf("%+v is not in the text:\n%s", c, text.out)
		}
		if c.Result == "problem" {
			problems++
		}
		if (c.Fix != "") != (c.Result == "problem" || c.Result == "warning") && c.Check != "config" {
			t.Errorf("a fix is missing, or not needed: %+v", c)
		}
	}
	if text.code != r.code || (problems > 0) != (r.code == 1) || r.code > 1 {
		t.Errorf("exit codes %d and %d with %d problems: %v", text.code, r.code, problems, r.err)
	}
	return r.code, all
}

// finds checks which results differ from those of a healthy config, as
// "check result: part of the detail → part of the fix".
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
		detail, fix, _ := strings.Cut(what, " → ")
		at := slices.IndexFunc(rest, func(c checkDocument) bool {
			return c.Check+" "+c.Result == head && strings.Contains(c.Detail, detail) && strings.Contains(c.Fix, fix)
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

// TestCheckHealthy checks that a valid config has no problems, that each check has a
// result, and that no user is created.
func TestCheckHealthy(t *testing.T) {
	r := redistest.Start(t)
	srv := newTLSService(t, sandbox.Config{}, testutil.Loopback(), systemAuthority)
	fake := newHuma(t, sandbox.Config{})
	// Both over TLS, by the authorities of the system and of the config.
	config := writeFile(t, "Caddyfile", trustedServers+"http://localhost:8080 {\n"+
		strings.ReplaceAll(humaBlock(srv, "tls {\nca "+systemAuthority.File+"\n}", withRedis(r, "1m", "")), "identity basic_auth", "identity authelia\ntrust proxies 10.0.0.0/8")+"\n"+
		humanBlock(srv)+"\n"+basicAuthBlock+"}\nhttp://localhost:8081 {\n"+humaBlock(fake, "registration off", "client_type web")+"\n"+basicAuthBlock+"}\n")
	code, all := runCheck(t, config)
	finds(t, all)
	if code != 0 || len(all) != 3*9 {
		t.Errorf("exit code %d with %d results", code, len(all))
	}
	byDirective := make(map[string][]checkDocument)
	for _, c := range all {
		byDirective[c.directive()] = append(byDirective[c.directive()], c)
	}
	ok := func(names ...string) map[string]string {
		want := make(map[string]string)
		for _, name := range []string{"config", "routes", "dns", "connection", "tls", "clock", "credentials", "client_ip", "redis"} {
			want[name] = "skipped"
		}
		for _, name := range names {
			want[name] = "ok"
		}
		return want
	}
	for name, want := range map[string]map[string]string{ // an address is no name
		"huma_token localhost:8080/private/huma-token":           ok("config", "routes", "connection", "tls", "clock", "credentials", "client_ip", "redis"),
		"human_api_token localhost:8080/private/human-api-token": ok("config", "routes", "connection", "tls", "clock", "credentials"),
		"huma_token localhost:8081/private/huma-token":           ok("config", "routes", "connection", "clock", "credentials"),
	} {
		if got := results(byDirective[name]); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, c := range all {
		if c.Check == "credentials" && !strings.Contains(c.Detail, "accepted: the service does not know the user (status 403, code ") {
			t.Errorf("%+v", c)
		}
	}
	for _, s := range []*fakeHuma{fake, srv} {
		if len(s.Users()) != 0 || len(s.HumanUsers()) != 0 || s.calls("signup") != 0 || s.calls("session") != 0 {
			t.Errorf("a user was created: %v %v", s.Users(), s.HumanUsers())
		}
		for _, c := range s.Calls().Calls {
			if !strings.HasSuffix(c.Email+c.ClientUserID, "example.invalid") {
				t.Errorf("a call for %s", c.Email+c.ClientUserID)
			}
		}
	}
}

// TestCheckOffline checks that --offline makes no calls.
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

// TestCheckFindsConfig checks that all errors of a config are found, together with the
// other problems of the directive.
func TestCheckFindsConfig(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Secret: "another"})
	block := humaBlock(fake)
	unreadable := filepath.Join(t.TempDir(), "link") // also for root
	if err := os.Symlink("link", unreadable); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config string
		want   []string
	}{
		{"a file that is not there", caddyfileOf(t, strings.Replace(block, "api", "config_file /nonexistent/huma.json\napi", 1)),
			[]string{"config problem: config_file: open /nonexistent/huma.json: no such file → correct the path"}},
		{"a file that cannot be read", caddyfileOf(t, strings.Replace(block, "api", "config_file "+unreadable+"\napi", 1)),
			[]string{"config problem: config_file: open " + unreadable + " → it must be a readable file"}},
		{"a secret's file", caddyfileOf(t, strings.Replace(block, "sandbox-secret", "{file./nonexistent/secret}", 1), strings.Replace(humanBlock(fake), "sandbox-secret", "{file./nonexistent/secret}", 1)),
			[]string{"config problem: client_secret: open /nonexistent/secret → correct the path", "config problem: secret: open /nonexistent/secret → correct the path"}},
		{"no variable, no preset, no file", caddyfileOf(t, "huma_token {\napi https://huma.invalid\nsecret {env.CADDY_HUMA_NOT_SET}\nidentity authelio\ntls {\nca /nonexistent/ca.pem\n}\n}"),
			[]string{
				"config problem: secret: environment variable CADDY_HUMA_NOT_SET is not set → set CADDY_HUMA_NOT_SET in the environment of Caddy",
				"config problem: project_id: is required", "config problem: deployment_id: ", "config problem: client_id: ",
				"config problem: unknown preset", "config problem: ca: open /nonexistent/ca.pem → correct the path",
			}},
		{"an origin without TLS", caddyfileOf(t, strings.Replace(block, "api", "allow_origins http://app.example.com http://localhost:3000 https://app.example.com\napi", 1)),
			[]string{"cors warning: lists http://app.example.com, → https origin", "credentials problem: status 401, code 100006 → secret"}},
		{"identity alone", caddyfileOf(t, strings.Replace(block, "identity basic_auth", "identity authelia", 1)), // the credentials are looked at all the same
			[]string{"config problem: trust", "credentials problem: status 401, code 100006 → secret"}},
		{"verify in userinfo", caddyfileOf(t, strings.Replace(block, "identity basic_auth", "userinfo http://localhost/me {\nemail email\nverify {\nissuer clinic\naudience a\n}\n}", 1)),
			[]string{"config problem: issuer: must be a URL", "credentials problem: 100006"}},
		{"two that disagree", caddyfileOf(t, "handle /a {\n"+humaBlock(fake)+"\n}\nhandle {\n"+humaBlock(fake, "max_concurrent 7")+"\n}"),
			[]string{"config problem: another huma_token of the same account", "routes problem: is handled by another directive: huma_token localhost:8080/private/huma-token #2", "credentials problem: 100006"}},
		{"a header that the server keeps", writeFile(t, "Caddyfile", "{\nservers {\nexpected_underscore_headers Remote_*\n}\n}\n"+"http://localhost:8080 {\n"+
			strings.Replace(block, "identity basic_auth", "identity authelia\ntrust proxies 192.0.2.1", 1)+"\n}"),
			[]string{"config problem: drops the request header Remote-Email", "config problem: Remote-Name", "config problem: Remote-User", "credentials problem: 100006", "client_ip warning: "}},
		{"a field that there is not", writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"huma_token","secrets":"x"}]}]}}}}}`),
			[]string{`config problem: unknown field "secrets"`}},
		{"an option of another type", writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"huma_token","identity":"canary"}]}]}}}}}`),
			[]string{"config problem: identity: must be an object in JSON, not string"}},
		{"a config of another type", writeFile(t, "c.json", `["canary"]`), []string{"config problem: read config: "}},
		{"a server of another type", writeFile(t, "c.json", `{"apps":{"http":{"servers":{"s":["canary"]}}}}`), []string{"config problem: read server s: "}},
		{"a config that is none", writeFile(t, "c.json", `{"apps": canary`), []string{"config problem: not valid JSON"}},
		{"a directory", t.TempDir(), []string{"config problem: is a directory → it must be a readable file"}},
		{"no such config", "/nonexistent/Caddyfile", []string{"config problem: no such file → correct the path"}},
		{"no directive", writeFile(t, "Caddyfile", "http://localhost {\nrespond ok\n}\n"), []string{"config problem: has no huma_token and no human_api_token"}},
		{"an option that there is not", writeFile(t, "Caddyfile", "http://localhost {\nhuma_token {\nsecrets x\n}\n}\n"),
			[]string{"config problem: unrecognized option 'secrets'"}},
		{"a key of Redis", caddyfileOf(t, humaBlock(fake, "cache {\nredis {\naddress 127.0.0.1:1\nencryption_keys c2hvcnQ=\n}\n}")),
			[]string{"config problem: encryption_keys: key 1 must be base64 of 32 bytes, not of 5 bytes", "credentials problem: 100006"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, all := runCheck(t, c.config)
			finds(t, all, c.want...)
			if strings.Contains(fmt.Sprint(all), "canary") {
				t.Errorf("a value is printed: %v", all)
			}
		})
	}
}

// TestCheckFindsCredentials checks the result for each wrong credential, and for the
// client ID of one client type.
func TestCheckFindsCredentials(t *testing.T) {
	human := func(clients map[string]string) sandbox.Config {
		return sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: clients}}
	}
	fault := func(f sandbox.Fault) []sandbox.Fault { return []sandbox.Fault{f} }
	for _, c := range []struct {
		name    string
		service sandbox.Config
		faults  []sandbox.Fault
		huma    string
		human   string // empty: what is found is Huma's alone
	}{
		{"another secret", sandbox.Config{Secret: "x", HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "x"}}}, nil,
			"credentials problem: ios, android, web: status 401, code 100006 → secret", "credentials problem: status 401, code INVALID_CLIENT_ID_OR_SECRET → client_secret"},
		{"another project", sandbox.Config{ProjectID: "x"}, nil, "credentials problem: 100001 → project_id", ""},
		{"another deployment", sandbox.Config{DeploymentID: "x"}, nil, "credentials problem: 100004 → deployment_id", ""},
		{"one client id", sandbox.Config{ClientIDs: map[string]string{"ios": "c1", "web": "c3"}}, nil, "credentials problem: android: status 403, code 100002 → client_id", ""},
		{"another application", human(map[string]string{"other": "x"}), nil, "", "credentials problem: code INVALID_CLIENT_ID → client_id"},
		{"another signature", sandbox.Config{Signature: sandbox.Signature{Encoding: "base64"}}, nil, "credentials problem: 100006 → signature", ""},
		{"another path", sandbox.Config{Prefix: "/huma"}, nil, "credentials problem: 404 → api", "credentials warning: either the user or the path does not exist → api"},
		{"down", sandbox.Config{}, fault(sandbox.Fault{Status: 503}), "credentials problem: the service is down → try again", "credentials problem: status 503 → try again"},
		{"too many calls", sandbox.Config{}, fault(sandbox.Fault{Status: 429}), "credentials problem: status 429 → try again", "credentials problem: status 429"},
		{"another service", sandbox.Config{}, fault(sandbox.Fault{Status: 200, Body: "<html>"}), "credentials problem: not JSON → api", "credentials problem: not JSON → api"},
		{"a redirect", sandbox.Config{}, fault(sandbox.Fault{Redirect: "https://login.invalid/"}), "credentials problem: status 307 → api", "credentials problem: status 307 → api"},
		{"401 by a proxy", sandbox.Config{}, fault(sandbox.Fault{Status: 401, Body: "no"}), "credentials problem: status 401 → secret", "credentials problem: status 401 → client_secret"},
		{"no answer", sandbox.Config{}, fault(sandbox.Fault{Delay: 5 * time.Second}), "credentials problem: did not respond in time → longer timeout", "credentials problem: did not respond in time"},
		{"a token for an unknown user", sandbox.Config{}, []sandbox.Fault{{Op: "signin", Status: 200, Body: `{"authToken":"x"}`}, {Op: "id", Status: 200, Body: `{"id_token":"x"}`}}, "credentials warning: a user who does not exist", "credentials warning: a user who does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
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
				t.Error("a user was created")
			}
		})
	}
}

// TestCheckByAUser checks --email and --user-id: an existing user gets a token, and an
// invalid value is a problem.
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
		if c.Check == "credentials" && !strings.HasSuffix(c.Detail, "token issued") {
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
		if c.Check == "credentials" && !strings.Contains(c.Detail, "probably accepted") {
			t.Errorf("%+v", c)
		}
	}
}
