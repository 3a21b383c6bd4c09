package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExample does what the README says, with the real binary: it starts
// Caddyfile.example (on free ports) and asks for tokens.
func TestExample(t *testing.T) {
	site, huma := startExample(t)

	get := func(user, path string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, map[string]string{"alice": "wonderland", "bob": "builder"}[user])
		}
		status, body := do(t, req)
		var v map[string]any
		_ = json.Unmarshal(body, &v) // an answer without JSON has no members
		return status, v
	}

	const ios = "/private/huma-token?client_type=ios"
	status, first := get("alice", ios)
	if status != http.StatusOK || len(first) != 6 {
		t.Fatalf("alice: %d %v, want 200 and six members", status, first)
	}
	if got := calls(t, huma); got != "signin 403, signup 201" {
		t.Errorf("Huma saw %s", got)
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
		t.Errorf("nobody: %d", status)
	}
	if status, bob := get("bob", ios); status != http.StatusOK || bob["uid"] == first["uid"] {
		t.Errorf("bob: %d, as %v", status, bob["uid"])
	}
	if status, _ := get("alice", "/"); status != http.StatusOK {
		t.Errorf("the rest of the site: %d", status)
	}
}

// startExample runs the example and returns the addresses of its two sites.
func startExample(t *testing.T) (site, huma string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	ports := strings.NewReplacer("localhost:8080", freeAddress(t), "localhost:8081", freeAddress(t), "localhost:2019", freeAddress(t))
	dir := t.TempDir()
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(ports.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "caddy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}

	var log bytes.Buffer
	cmd := exec.CommandContext(context.Background(), binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Dir, cmd.Stderr = root, &log
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("caddy ended with %v\n%s", err, &log)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("caddy did not end\n%s", &log)
		}
		for _, secret := range []string{"@example.com", "sandbox-secret", "Liddell"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, &log)
			}
		}
	})

	site, huma = "http://"+ports.Replace("localhost:8080"), "http://"+ports.Replace("localhost:8081")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", strings.TrimPrefix(huma, "http://"))
		if err == nil {
			c.Close()
			return site, huma
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("caddy ended: %v\n%s", err, &log)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("caddy does not listen")
		}
	}
}

// calls is what the sandbox has seen.
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

// freeAddress finds a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
