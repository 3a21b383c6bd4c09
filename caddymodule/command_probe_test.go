package caddymodule_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/probe"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/process"
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
