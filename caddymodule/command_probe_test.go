package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/probe"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// runProbe runs caddy huma probe with both forms of output, without a pause between
// requests. It returns what --json prints.
func runProbe(t *testing.T, url string, args ...string) []checkDocument {
	t.Helper()
	return probeWith(t, probe.NewCommand(0), append([]string{url}, args...)...)
}

func probeWith(t *testing.T, command *cobra.Command, args ...string) []checkDocument {
	t.Helper()
	var all []checkDocument
	r := run(t, command, append(args, "--timeout", "20s", "--json")...).hides("eyJ", "x.example", "canary", "wonderland")
	r.json(&all)
	problems := slices.ContainsFunc(all, func(c checkDocument) bool { return c.Result == "problem" })
	if problems != (r.code == 1) || r.code > 1 {
		t.Errorf("exit code %d: %s", r.code, r.out)
	}
	return all
}

// TestProbe checks that the endpoints of the plugin have no problems, that no check is
// skipped without a reason, and that the text has the same results as JSON.
func TestProbe(t *testing.T) {
	t.Setenv("HUMA_TEST_USER", "canary@x.example")
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, ""))
		all := probeWith(t, probe.Command(), s.URL, "--service", p.name, "--header", "X-Test-User: {env.HUMA_TEST_USER}", "--delete")
		finds(t, all)
		for check, result := range results(all) {
			want := "ok"
			if strings.HasPrefix(check, "cors_") || check == "client_type" && p.name == "human_api" {
				want = "skipped"
			}
			if result != want {
				t.Errorf("%s is %s", check, result)
			}
		}
		if n := p.users(fake); n != 1 {
			t.Errorf("%d users", n)
		}
		// Without a service and without credentials, the default path is that of huma_token.
		run(t, probe.Command(), s.URL+p.path).
			ends(0, s.URL+p.path+"\n", "unauthenticated  ok       status 401, code identity_missing", "token            skipped  no credentials", "0 problems, 0 warnings").hides("canary")
		if p.name == "huma" {
			run(t, probe.Command(), s.URL).ends(0, s.URL+p.path+"\n", "no path, so the default one")
		}
		run(t, probe.Command(), s.URL, "--cookie", "canary").fails(2, "--cookie: must be")
	})
}

// TestProbeOptions checks the results that options of the directive change.
func TestProbeOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options string
		service sandbox.Config
		want    []string
	}{
		"no_cache ignore":       {"no_cache ignore", sandbox.Config{}, []string{"no_cache warning: gets the same token → no_cache honor"}},
		"cache off":             {"cache off", sandbox.Config{}, []string{"cache warning: caches nothing"}},
		"cross_site allow":      {"cross_site allow", sandbox.Config{}, []string{"fetch_metadata warning: gets a token → 403", "origin warning: gets a token"}},
		"errors caddy":          {"errors caddy", sandbox.Config{}, nil},
		"the default is ios":    {"client_type ios", sandbox.Config{}, nil},
		"a wrong secret":        {"", sandbox.Config{Secret: "another"}, []string{"token problem: status 502, code upstream_config: The service rejects the credentials → errors.md#upstream_config"}},
		"a wrong id of android": {"", sandbox.Config{ClientIDs: map[string]string{"ios": "c1", "web": "c3"}}, []string{"client_type problem: android: status 502, code upstream_config"}},
		"registration off":      {"registration off", sandbox.Config{}, []string{"token problem: status 403, code not_registered → errors.md#not_registered"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, simpleSite(newHuma(t, c.service), c.options))
			finds(t, runProbe(t, s.URL, "--header", "X-Test-User: canary@x.example"), c.want...)
		})
	}
}

// TestProbeCORS: nothing is found for a web app in allow_origins, and the option for
// another one.
func TestProbeCORS(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		s := serve(t, p.site(newHuma(t, sandbox.Config{}), allowOrigins))
		all := runProbe(t, s.URL+p.path, "--header", "X-Test-User: canary@x.example", "--origin", webApp)
		finds(t, all)
		if got := results(all); got["cors_token"] != "ok" || got["cors_preflight"] != "ok" || got["cors_401"] != "ok" {
			t.Errorf("the results are %v", got)
		}
		all = runProbe(t, s.URL+p.path, "--header", "X-Test-User: canary2@x.example", "--origin", "https://other.example.com")
		finds(t, all, "cors_preflight problem: no Access-Control-Allow-Origin → allow_origins", "cors_token problem: cross_site → allow_origins", "cors_401 problem: cross_site → allow_origins")
	})
}

// TestProbeBrokenSites: the mistakes in a config that keep apps from getting a token, or
// give one to everyone, are found from outside.
func TestProbeBrokenSites(t *testing.T) {
	page := filepath.Dir(writeFile(t, "index.html", "<!DOCTYPE html><title>the application</title>"))
	login := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") == "" {
			http.Redirect(w, r, "https://auth.example.com/?rd=canary", http.StatusFound)
			return
		}
		w.Header().Set("Remote-Email", "canary@x.example")
	})
	down := freeAddress(t)
	const basic = "basic_auth {\nalice $2a$10$JbodNYtYhPTg3jgJYvLqZ.8GmECVILZhu6LJQ20ktpivJ1FTeRQ.S\n}\n"
	const dialog = "unauthenticated warning: WWW-Authenticate: Basic"
	alice, cookie := []string{"--user", "alice:wonderland"}, []string{"--cookie", "authelia_session=canary"}
	for name, c := range map[string]struct {
		site string // TOKEN is the directive without its identity
		args []string
		want []string
	}{
		"no authentication": {"vars user canary@x.example\nTOKEN identity {\nemail {http.vars.user}\n}\n}\n", nil,
			[]string{"unauthenticated problem: anyone can get tokens"}},
		"Authelia's redirect": {"forward_auth " + login + " {\nuri /\n}\nTOKEN identity authelia\ntrust forward_auth\n}\n", cookie,
			[]string{"unauthenticated problem: redirects to auth.example.com → auth_server"}},
		"the same with auth_server": {"TOKEN identity authelia {\nauth_server " + login + "\n}\n}\n", cookie, nil},
		"try_files at the top level": {"root " + page + "\ntry_files {path} /index.html\nfile_server\n" + basic + "TOKEN identity basic_auth\n}\n", alice,
			[]string{dialog, "token problem: status 200 with a page → try_files"}},
		"the default path inside handle_path": {"handle_path /private/* {\n" + basic + "TOKEN identity basic_auth\n}\n}\n", alice,
			[]string{dialog, "token problem: status 200 with an empty body → handle_path"}},
		"authentication inside a handle": {"handle {\n" + basic + "}\nTOKEN identity basic_auth\n}\n", alice,
			[]string{"token problem: status 401, code identity_missing → errors.md#identity_missing; caddy huma check"}},
		"another path": {basic + "respond /private/* 404\n", alice, []string{dialog, "token problem: status 404"}},
		"the auth server is down": {"forward_auth " + down + " {\nuri /\n}\nTOKEN identity authelia\ntrust forward_auth\n}\n", cookie,
			[]string{"unauthenticated problem: status 502", "token problem: status 502: → auth server"}},
		"auth_server is down": {"TOKEN identity authelia {\nauth_server http://" + down + "\n}\n}\n", cookie,
			[]string{"token problem: status 503, code identity_unavailable: The user cannot be identified → errors.md#identity_unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newHuma(t, sandbox.Config{})
			text := strings.ReplaceAll(c.site, "TOKEN", "huma_token {\n"+fake.credentials())
			s := serve(t, "SITE {\n"+text+"}\n")
			finds(t, runProbe(t, s.URL, c.args...), c.want...)
		})
	}
}

// startQuickStart starts the endpoint of Huma's quick start in Python, with the sandbox as
// Huma, and returns its address. It takes the user from the header Remote-Email.
func startQuickStart(t *testing.T, fake *fakeHuma) (address string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	script, err := filepath.Abs("../testdata/quickstart/endpoint.py")
	if err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	config, err := json.Marshal(map[string]any{
		"url": fake.URL, "projectId": "p1", "deploymentId": "d1", "secret": "sandbox-secret",
		"clients": map[string]string{"ios": "c1", "android": "c2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "huma-config.json", string(config))
	p, err := process.Start(t.Context(), process.Config{
		Binary: python, Dir: t.TempDir(), Sites: []string{address}, Args: []string{script, address, "Remote-Email", file},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	return address
}

// TestProbeQuickStart: the endpoint of Huma's quick start in Python works, but caches
// nothing.
func TestProbeQuickStart(t *testing.T) {
	address := startQuickStart(t, newHuma(t, sandbox.Config{}))
	all := runProbe(t, "http://"+address, "--header", "Remote-Email: canary@x.example", "--delete")
	finds(t, all,
		"vary warning: Remote-Email", "options warning: status 501", "put warning: status 501",
		"fetch_metadata warning: ", "origin warning: ", "cache warning: caches nothing")
	for _, c := range all {
		if c.Check == "delete" && c.Detail != "status 501: DELETE is not supported, but nothing is cached either" {
			t.Errorf("%+v", c)
		}
	}
}
