package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// samplesDir has the samples of docs/apps.md.
const samplesDir = "../../docs/samples"

// compilers compile a sample with its driver, which is in the directory samples, and return
// the command that runs the driver. tools is the directory of the compilers.
var compilers = map[string]func(t *testing.T, tools, out string) []string{
	"TypeScript": func(t *testing.T, tools, out string) []string {
		compile(t, "node", filepath.Join(tools, "node_modules/typescript/bin/tsc"), "--strict", "--noUncheckedIndexedAccess",
			"--exactOptionalPropertyTypes", "--noImplicitOverride", "--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns",
			"--target", "es2022", "--module", "es2022", "--lib", "es2022,dom", "--outDir", out,
			filepath.Join(samplesDir, "typescript/huma-token.ts"))
		write(t, filepath.Join(out, "package.json"), `{"type": "module"}`)
		return []string{"node", "samples/driver.mjs", filepath.Join(out, "huma-token.js")}
	},
	"Kotlin": func(t *testing.T, tools, out string) []string {
		lib, json := filepath.Join(tools, "node_modules/kotlin-compiler/lib"), filepath.Join(tools, "json.jar")
		compile(t, "java", "-Xmx512m", "-cp", filepath.Join(lib, "kotlin-compiler.jar"), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
			"-kotlin-home", filepath.Dir(lib), "-Werror", "-progressive", "-jvm-target", "1.8", "-cp", json, "-d", out,
			filepath.Join(samplesDir, "kotlin/HumaToken.kt"), "samples/Driver.kt")
		classes := strings.Join([]string{out, json, filepath.Join(lib, "kotlin-stdlib.jar")}, string(filepath.ListSeparator))
		return []string{"java", "-cp", classes, "DriverKt"}
	},
}

// compile runs a compiler.
func compile(t *testing.T, program string, args ...string) {
	t.Helper()
	start := time.Now()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("compiled in %v", time.Since(start).Round(time.Second))
}

// TestSamples compiles the samples for app developers, and runs them with the real
// endpoint. CADDY_HUMA_SAMPLES is the directory of the compilers.
func TestSamples(t *testing.T) {
	tools := os.Getenv("CADDY_HUMA_SAMPLES")
	if tools == "" {
		t.Skip("NOT TESTED: CADDY_HUMA_SAMPLES does not name the directory of the compilers, so the samples are not compiled. .ci/docs samples fetches them")
	}
	port := freePort(t)
	app := "http://127.0.0.1:" + port
	s := startSite(t, port, app+` {
	handle /me {
		header Content-Type application/json
		@alice header Authorization "Bearer alice-access"
		respond @alice `+"`{\"email\": \"alice@x.example\"}`"+`
		@carol header Authorization "Bearer carol-access"
		respond @carol `+"`{\"email\": \"carol@x.example\"}`"+`
		@bob header Authorization "Bearer bob-access"
		respond @bob 403
		respond 401
	}
	huma_token {
		HUMA
		userinfo `+app+`/me {
			email email
		}
	}
}
`)
	for language, compiler := range compilers {
		t.Run(language, func(t *testing.T) {
			sample := startSample(t, compiler(t, tools, t.TempDir())...)
			testSample(t, s, startFront(t, s.url), sample)
		})
	}
}

// testSample runs the steps in order, because each one changes the state of the sample.
func testSample(t *testing.T, s *site, front *front, sample *sample) {
	const tokenPath = "/private/huma-token"
	get, fresh, del := []string{"GET"}, []string{"GET no-cache"}, []string{"DELETE"}
	two := []string{"GET", "GET"}
	outage := func(status, times int) map[string]any {
		return map[string]any{"op": "*", "status": status, "times": times, "headers": map[string]string{"Retry-After": "1"}}
	}
	var last string // the token of the step before
	for _, step := range []struct {
		name     string
		path     string // of a new client; empty: the client of the step before
		access   string // the access tokens: the first one, and the renewed one
		fault    map[string]any
		command  string
		want     string // the members of the result that are not empty, in order
		requests []string
		token    string // "same" or "other" than the last one; "": no token
		user     string // empty: alice@x.example
		waits    time.Duration
		timeout  int // of a request of the new client, in milliseconds; 0: 10000
		delay    int // before its first retry, in milliseconds; 0: 20
	}{
		{name: "a token", path: tokenPath, access: "alice-access -", command: "token", requests: get, token: "other"},
		{name: "kept in memory", command: "token", token: "same"},
		{name: "a fresh token", command: "fresh", requests: fresh, token: "other"},
		{name: "sign out", command: "signout", want: "deleted=true", requests: del},
		{name: "no token after that", command: "token", want: "action=signIn"},
		{name: "no fresh token either", command: "fresh", want: "action=signIn"},
		{name: "one request for concurrent calls", path: tokenPath, command: "concurrent 5", want: "different=1", requests: get, token: "other"},
		{name: "a cached token", path: tokenPath, command: "token", requests: get, token: "same"},
		{name: "a URL with a query", path: tokenPath + "?a=b", command: "token", requests: get, token: "same"},
		{name: "an access token that has expired", path: tokenPath, access: "expired alice-access", command: "token",
			want: "renewals=1", requests: two, token: "same"},
		{name: "retries after that", path: "/expired-busy", delay: 100, command: "token",
			want: "renewals=1", requests: []string{"GET", "GET", "GET", "GET"}, token: "same", waits: 300 * time.Millisecond},
		{name: "sign out with it", access: "expired alice-access", command: "signout", want: "deleted=true renewals=1", requests: append(del, del...)},
		{name: "no session", path: tokenPath, access: "expired expired", command: "token",
			want: "action=signIn code=identity_missing renewals=1 status=401", requests: two},
		{name: "sign out without a session", command: "signout", want: "deleted=false renewals=1", requests: append(del, del...)},
		{name: "no access", path: tokenPath, access: "bob-access -", command: "token",
			want: "action=noAccess code=identity_forbidden status=403", requests: get},

		{name: "a token of the first user", path: tokenPath, access: "alice-access -", command: "token", requests: get, token: "other"},
		{name: "the session ends", access: "expired expired", command: "fresh",
			want: "action=signIn code=identity_missing renewals=1 status=401", requests: append(fresh, fresh...)},
		{name: "the second user", access: "carol-access -", command: "token", requests: get, token: "other", user: "carol@x.example"},
		{name: "a request during the sign-out", path: "/slow-sign-out", access: "alice-access -", command: "late 200",
			want: "action=signIn deleted=true", requests: del},
		{name: "the second user after that", path: tokenPath, access: "carol-access -", command: "token", requests: get, token: "same", user: "carol@x.example"},

		{name: "sign out before an outage", path: tokenPath, access: "alice-access -", command: "signout", want: "deleted=true", requests: del},
		// Two calls, because the endpoint retries as well.
		{name: "an outage that ends", path: tokenPath, fault: outage(503, 2), command: "token", requests: two, token: "other", waits: time.Second},
		{name: "sign out before another outage", command: "signout", want: "deleted=true", requests: del},
		{name: "an outage", path: tokenPath, fault: outage(503, 0), command: "token",
			want: "action=retry code=upstream_unavailable retryAfter=1 status=503", requests: []string{"GET", "GET", "GET"}, waits: 2 * time.Second},
		{name: "rejected credentials", fault: outage(401, 0), command: "token",
			want: "action=report code=upstream_config status=502", requests: get},
		// The endpoint repeats its response to a fresh request for 5 seconds.
		{name: "an outage during a fresh request", path: tokenPath, delay: 5000, fault: outage(503, 2), command: "fresh",
			requests: append(fresh, fresh...), token: "other", waits: 5 * time.Second},

		{name: "too many requests, of a proxy", path: "/busy", command: "token", want: "action=retry retryAfter=60 status=429", requests: get},
		{name: "an error of a proxy", path: "/bad-gateway", command: "token", want: "action=retry status=502", requests: []string{"GET", "GET", "GET"}},
		{name: "sign out before a retry", path: "/bad-gateway", delay: 500, command: "leave 300", want: "action=signIn deleted=false", requests: []string{"GET", "DELETE"}},
		{name: "a redirect to a login page", path: "/redirect", command: "token", want: "action=report status=302", requests: get},
		{name: "a page", path: "/page", command: "token", want: "action=report status=200", requests: get},
		{name: "a code of a later version", path: "/later", command: "token", want: "action=noAccess status=403", requests: get},
		{name: "a timeout", path: "/hang", timeout: 300, command: "token", want: "action=retry", requests: []string{"GET", "GET", "GET"}, waits: 900 * time.Millisecond},
		{name: "a timeout of a slow response", path: "/drip", timeout: 300, command: "token", want: "action=retry", requests: []string{"GET", "GET", "GET"}, waits: 900 * time.Millisecond},
		{name: "sign out during a request", path: "/slow", command: "leave 500", want: "action=signIn deleted=true", requests: []string{"GET", "DELETE"}},
		{name: "sign out during two requests", path: "/slow", command: "replace 500", want: "action=signIn deleted=true", requests: []string{"GET", "GET no-cache", "DELETE"}},
		{name: "a new client after that", path: tokenPath, command: "token", requests: get, token: "other"},
		{name: "a fresh request that fails", path: "/bad-fresh", command: "token", requests: get, token: "same"},
		{name: "the failure", command: "fresh", want: "action=report status=418", requests: fresh},
		{name: "the rejected token is not kept", command: "token", requests: get, token: "same"}, // from the endpoint's cache
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			faults := []any{}
			if step.fault != nil {
				faults = append(faults, step.fault)
			}
			s.control(t, http.MethodPut, "faults", faults)
			if step.access != "" {
				sample.do(t, "access "+step.access)
			}
			if step.path != "" {
				sample.do(t, fmt.Sprintf("new %s%s %d %d", front.URL, step.path, cmp.Or(step.timeout, 10_000), cmp.Or(step.delay, 20)))
			}
			front.take()
			start := time.Now()
			got := sample.do(t, step.command)
			if took := time.Since(start); took < step.waits {
				t.Errorf("took %v, want at least %v", took, step.waits)
			}
			if requests := front.take(); !slices.Equal(requests, step.requests) {
				t.Errorf("requests %q, want %q", requests, step.requests)
			}
			if text := got.members(); text != step.want {
				t.Errorf("result %s, want %s", text, step.want)
			}
			if (got.AuthToken != "") != (step.token != "") || step.token != "" && (got.AuthToken == last) != (step.token == "same") {
				t.Errorf("token %.20q after %.20q, want %s", got.AuthToken, last, step.token)
			}
			if step.token != "" {
				last = got.AuthToken
				if uid := s.accounts(t)[cmp.Or(step.user, "alice@x.example")].UID; got.UID != uid || got.Lifetime <= 800 || got.Lifetime > 900 {
					t.Errorf("user %q, lifetime %v; want %q", got.UID, got.Lifetime, uid)
				}
			}
			if strings.Contains(got.Text, "eyJ") || strings.Contains(got.Text, "access") || got.Action != "" && got.Text == "" {
				t.Errorf("printed as %q", got.Text)
			}
			if (got.Code != "") != (got.Detail != "") {
				t.Errorf("code %q, detail %q", got.Code, got.Detail)
			}
		})
		if !ok {
			return // the next steps depend on this one
		}
	}
}

// result is the result of a command of a driver.
type result struct {
	UID, AuthToken string
	Lifetime       float64

	Name, Action, Code, Detail string
	Status, RetryAfter         int
	Deleted                    *bool
	Different, Renewals        int
	Text                       string // the token or the error as it would be logged
}

// members returns the members without those of the token, for comparisons.
func (r result) members() string {
	var all []string
	add := func(name string, value any, ok bool) {
		if ok {
			all = append(all, fmt.Sprintf("%s=%v", name, value))
		}
	}
	action := r.Action
	if words := strings.Split(action, "_"); len(words) > 1 || action == strings.ToUpper(action) { // SIGN_IN in Kotlin
		action = strings.ToLower(words[0])
		for _, word := range words[1:] {
			action += word[:1] + strings.ToLower(word[1:])
		}
	}
	add("action", action, action != "")
	add("code", r.Code, r.Code != "")
	add("deleted", fmt.Sprint(r.Deleted != nil && *r.Deleted), r.Deleted != nil)
	add("different", r.Different, r.Different != 0)
	add("renewals", r.Renewals, r.Renewals != 0)
	add("retryAfter", r.RetryAfter, r.RetryAfter != 0)
	add("status", r.Status, r.Status != 0)
	return strings.Join(all, " ")
}

// sample is a running driver of a sample.
type sample struct {
	in  io.Writer
	out *bufio.Scanner
}

// startSample starts a driver, which is stopped at the end of the test.
func startSample(t *testing.T, command ...string) *sample {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...) // t.Context() is canceled before the cleanup below
	cmd.Stderr, cmd.WaitDelay = os.Stderr, time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		in.Close() // the driver ends
		kill.Reset(processTimeout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", command[0], err)
		}
		kill.Stop()
	})
	return &sample{in: in, out: bufio.NewScanner(out)}
}

// do sends a command to the driver, and returns its result.
func (s *sample) do(t *testing.T, command string) result {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, command); err != nil {
		t.Fatal(err)
	}
	if !s.out.Scan() {
		t.Fatalf("%s: the driver has ended: %v", command, s.out.Err())
	}
	var r result
	if err := json.Unmarshal(s.out.Bytes(), &r); err != nil {
		t.Fatalf("%s: %v: %s", command, err, s.out.Bytes())
	}
	return r
}
