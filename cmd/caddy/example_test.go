package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestExample starts Caddyfile.example on free ports in a process, and requests
// tokens as in the README.
func TestExample(t *testing.T) {
	site, huma := startExample(t)

	get := func(user, path string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, map[string]string{"alice": "wonderland", "bob": "builder", "carol": "gardener"}[user])
		}
		status, body := do(t, req)
		var v map[string]any
		_ = json.Unmarshal(body, &v) // stays empty if the body is not JSON
		return status, v
	}

	const ios = "/private/huma-token?client_type=ios"
	status, first := get("alice", ios)
	if status != http.StatusOK || len(first) != 6 {
		t.Fatalf("alice: %d %v, want 200 and six members", status, first)
	}
	if got := calls(t, huma); got != "signin 403, signup 201" {
		t.Errorf("calls at Huma: %s", got)
	}
	time.Sleep(1100 * time.Millisecond)
	status, second := get("alice", ios)
	if status != http.StatusOK || second["authToken"] != first["authToken"] || calls(t, huma) != "signin 403, signup 201" {
		t.Errorf("the second time: %d, %s", status, calls(t, huma))
	}
	for _, name := range []string{"authTokenExpiresIn", "refreshTokenExpiresIn", "expiresIn"} {
		if second[name].(float64) >= first[name].(float64) {
			t.Errorf("%s was %v and is %v", name, first[name], second[name])
		}
	}
	if status, _ := get("", ios); status != http.StatusUnauthorized {
		t.Errorf("unauthenticated: %d", status)
	}
	uids := map[any]string{first["uid"]: "alice"}
	for _, user := range []string{"bob", "carol"} {
		status, token := get(user, ios)
		if other, found := uids[token["uid"]]; status != http.StatusOK || found {
			t.Errorf("%s: %d, uid of %q", user, status, other)
		}
		uids[token["uid"]] = user
	}
	status, connect := get("alice", "/private/human-api-token")
	if status != http.StatusOK || connect["type"] != "session" || connect["token"] == "" {
		t.Errorf("Human API's token: %d %v", status, connect)
	}
	for path, want := range map[string]int{
		"/": http.StatusOK, "/page.js": http.StatusOK, "/metrics": http.StatusOK, "/_sandbox/calls": http.StatusOK, "/nothing": http.StatusNotFound,
		// Everything below /private/ requires authentication, as do the endpoints in upper case.
		"/private/": http.StatusUnauthorized, "/private/human-api-token": http.StatusUnauthorized, "/PRIVATE/HUMA-TOKEN": http.StatusUnauthorized,
		// The APIs of the sandbox and the admin endpoint cannot be reached.
		"/v1/connect/token": http.StatusNotFound, "/huma/status": http.StatusNotFound, "/config/": http.StatusNotFound,
	} {
		if status, _ := get("", path); status != want {
			t.Errorf("%s, unauthenticated: status %d, want %d", path, status, want)
		}
	}
}

// startExample starts the example and returns the URLs of its two sites.
func startExample(t *testing.T) (site, huma string) {
	t.Helper()
	text, err := os.ReadFile("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	local := strings.NewReplacer("testdata/", root+"/testdata/", "localhost:8080", testutil.FreeAddress(t), "localhost:8081", testutil.FreeAddress(t), "localhost:2019", testutil.FreeAddress(t))
	site, huma = local.Replace("localhost:8080"), local.Replace("localhost:8081")
	c := startCaddy(t, local.Replace(string(text)), site, huma)
	t.Cleanup(func() {
		c.stop(t)
		for _, secret := range []string{"@example.com", "sandbox-secret", "Liddell"} {
			if strings.Contains(c.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, &c.log)
			}
		}
	})
	return "http://" + site, "http://" + huma
}

// caddyProcess is a running Caddy.
type caddyProcess struct {
	*process.Process
	log bytes.Buffer // must be read after the exit only
}

// startCaddy starts caddy (see TestMain) with a Caddyfile and waits until it listens on these
// addresses. At the end of the test, Caddy is killed if it still runs.
func startCaddy(t *testing.T, text string, addresses ...string) *caddyProcess {
	t.Helper()
	binary, err := exec.LookPath("caddy")
	if err != nil {
		t.Fatal(err)
	}
	c := new(caddyProcess)
	c.Process, err = process.Start(t.Context(), process.Config{
		Binary: binary, Dir: t.TempDir(), Caddyfile: text, Sites: addresses,
		Line: func(line []byte) { fmt.Fprintf(&c.log, "%s\n", line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// stop stops Caddy with SIGTERM and waits for its exit.
func (c *caddyProcess) stop(t *testing.T) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Errorf("caddy exited: %v\n%s", err, &c.log)
	}
}

// TestL07_ExchangesFinishBeforeTheProcess checks that Caddy waits for a sign-up in
// progress before it exits, even if the client has disconnected, or a reload has replaced
// the account.
func TestL07_ExchangesFinishBeforeTheProcess(t *testing.T) {
	for name, reload := range map[string]bool{"stopped": false, "reloaded and stopped": true} {
		t.Run(name, func(t *testing.T) {
			fake := sandbox.New(sandbox.Config{})
			srv := httptest.NewServer(fake)
			defer srv.Close()
			if err := fake.SetFaults([]sandbox.Fault{{Op: "signup", Delay: 2 * time.Second}}); err != nil {
				t.Fatal(err)
			}
			site, admin := testutil.FreeAddress(t), testutil.FreeAddress(t)
			text := "{\nadmin " + admin + "\npersist_config off\n}\nhttp://" + site + ` {
				huma_token {
					api ` + srv.URL + `
					project_id p1
					deployment_id d1
					client_id c1
					secret sandbox-secret
					identity {
						email X-Test-User
					}
					trust proxies 127.0.0.1
				}
			}`
			c := startCaddy(t, text, site)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site+"/private/huma-token", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Test-User", "a@x.example")
			if res, err := http.DefaultClient.Do(req); err == nil {
				res.Body.Close()
				t.Error("the request was not canceled")
			}
			if reload {
				other := strings.Replace(text, "client_id c1", "client_id c2", 1)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+admin+"/load", strings.NewReader(other))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "text/caddyfile")
				if status, body := do(t, req); status != http.StatusOK {
					t.Fatalf("reload: %d %s", status, body)
				}
			}
			c.stop(t)
			if users := fake.Users(); len(users) != 1 || !strings.Contains(c.log.String(), "token issued") {
				t.Errorf("%d users; the exchange was cut off:\n%s", len(users), &c.log)
			}
		})
	}
}

// calls returns the operations and statuses of all calls at the sandbox.
func calls(t *testing.T, huma string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, huma+"/_sandbox/calls", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body := do(t, req)
	var v struct {
		Calls []struct {
			Op     string
			Status int
		}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var all []string
	for _, c := range v.Calls {
		all = append(all, fmt.Sprintf("%s %d", c.Op, c.Status))
	}
	return strings.Join(all, ", ")
}

// do sends a request and returns the status and the body.
func do(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}
