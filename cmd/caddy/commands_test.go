package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// commandTimeout is the timeout of a command.
const commandTimeout = time.Minute

// caddyCommand returns caddy (see TestMain) with arguments. env is added to the environment
// of the test, from which proxy settings are removed.
func caddyCommand(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	t.Cleanup(cancel)
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, "caddy", args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "HOME="+dir,
		"HTTPS_PROXY=", "https_proxy=", "NO_PROXY=", "no_proxy=")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// output runs a command and returns its exit code, standard output and standard error.
func output(t *testing.T, cmd *exec.Cmd) (code int, out, log string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// access has parts of the output of caddy huma-sandbox --json.
type access struct {
	URL  string
	File json.RawMessage `json:"huma_config"`
}

// startSandbox starts caddy huma-sandbox and waits for its output.
func startSandbox(t *testing.T, args ...string) (a access, cmd *exec.Cmd) {
	t.Helper()
	cmd = caddyCommand(t, nil, append([]string{"huma-sandbox", "--listen", "127.0.0.1:0", "--json"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	if err := json.NewDecoder(out).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a, cmd
}

// configs writes a huma-config.json and a Caddyfile that uses it, and returns their
// paths.
func configs(t *testing.T, file []byte) (config, caddyfile string) {
	t.Helper()
	dir := t.TempDir()
	config, caddyfile = filepath.Join(dir, "huma-config.json"), filepath.Join(dir, "Caddyfile")
	text := "http://localhost:8080 {\n\thuma_token {\n\t\tconfig_file " + config + "\n\t\tidentity basic_auth\n\t}\n\tbasic_auth {\n\t\talice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n\t}\n}\n"
	if err := errors.Join(os.WriteFile(config, file, 0o600), os.WriteFile(caddyfile, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return config, caddyfile
}

// TestCommands checks the commands with a sandbox. The exit codes are those for scripts,
// and the standard output has only the result.
func TestCommands(t *testing.T) {
	a, sandbox := startSandbox(t, "--user", "alice@x.example")
	config, caddyfile := configs(t, a.File)
	_, wrong := configs(t, bytes.Replace(a.File, []byte("sandbox-secret"), []byte("canary-secret"), 1))
	for _, c := range []struct {
		name string
		args string
		code int
		part string
	}{
		{"a token", "huma token --client-type ios --config-file " + config + " --email alice@x.example", 0, "→ token issued"},
		{"unknown user", "huma token --client-type ios --config-file " + config + " --email bob@x.example", 3, "no token: not_registered"},
		{"rejected", "huma token --client-type ios --config " + wrong + " --email alice@x.example", 1, "no token: upstream_config"},
		{"no user", "huma token --config " + caddyfile, 2, ""},
		{"valid config", "huma check --config " + caddyfile, 0, "0 problems, 0 warnings"},
		{"wrong secret", "huma check --config " + wrong, 1, "code 100006"},
		{"wrong usage", "huma check --fast", 2, ""},
		{"a name in logs", "huma identity --hash-key k --email alice@x.example", 0, " in logs"},
		{"a preset", "huma presets authelia", 0, "Remote-Email"},
		{"no preset", "huma presets authelio", 2, ""},
		{"an address in use", "huma-sandbox --listen " + strings.TrimPrefix(a.URL, "http://"), 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, log := output(t, caddyCommand(t, nil, strings.Fields(c.args)...))
			if code != c.code || !strings.Contains(out, c.part) || (c.part == "") != (out == "") {
				t.Errorf("exit code %d:\n%s%s", code, out, log)
			}
			for _, secret := range []string{"sandbox-secret", "canary-secret", "eyJ", "bob@"} {
				if strings.Contains(out+log, secret) {
					t.Errorf("%q is printed:\n%s%s", secret, out, log)
				}
			}
		})
	}

	// A config from standard input.
	text, err := os.ReadFile(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := caddyCommand(t, nil, "huma", "check", "--json", "--adapter", "caddyfile", "--config", "-")
	cmd.Stdin = bytes.NewReader(text)
	code, out, log := output(t, cmd)
	if code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("exit code %d:\n%s%s", code, out, log)
	}

	if err := sandbox.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := sandbox.Wait(); err != nil {
		t.Errorf("the sandbox exited: %v", err)
	}
}

// TestCommandsStopAtOnce checks that a command stops at once when it is interrupted while
// it waits for a response, and when its output cannot be written.
func TestCommandsStopAtOnce(t *testing.T) {
	hangs := testutil.Listen(t)
	config, _ := configs(t, []byte(`{"apiUrl":"http://`+hangs.Addr().String()+`","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"x"}`))
	cmd := caddyCommand(t, nil, "huma", "token", "--config-file", config, "--email", "a@x.example")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := hangs.Accept() // the command has connected
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("exited with %v after %s", err, time.Since(began))
	}

	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	cmd = caddyCommand(t, nil, "huma", "presets")
	cmd.Stdout = write
	if code, _, log := output(t, cmd); code == 0 {
		t.Errorf("exit code 0 although the output cannot be written: %s", log)
	}
}

// TestCheckThroughAProxy checks that huma check reports problems with a proxy.
func TestCheckThroughAProxy(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "canary", http.StatusForbidden)
	}))
	defer refuses.Close()
	_, caddyfile := configs(t, []byte(`{"apiUrl":"https://huma.invalid","projectId":"p1","deploymentId":"d1","clients":{"ios":"c1"},"secret":"x"}`))
	at := strings.TrimPrefix(refuses.URL, "http://")
	unused := testutil.FreeAddress(t)
	for _, c := range []struct {
		name  string
		proxy string
		parts []string // in this order
	}{
		{"the proxy rejects", "http://user:canary@" + at, []string{"dns          skipped  the proxy " + at + " is an IP address", "connection   problem  the proxy " + at + " does not connect to huma.invalid", "→ allow huma.invalid in the proxy", "credentials  skipped"}},
		{"the proxy is down", "http://" + unused, []string{"connection   problem  dial tcp " + unused, "→ correct HTTPS_PROXY", "credentials  skipped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, log := output(t, caddyCommand(t, []string{"HTTPS_PROXY=" + c.proxy}, "huma", "check", "--config", caddyfile))
			rest := out
			for _, part := range append(c.parts, "1 problem, 0 warnings") {
				_, after, found := strings.Cut(rest, part)
				if !found {
					t.Fatalf("no %q, or in another order:\n%s", part, out)
				}
				rest = after
			}
			if code != 1 || strings.Contains(out+log, "canary") {
				t.Errorf("exit code %d:\n%s%s", code, out, log)
			}
		})
	}
}
