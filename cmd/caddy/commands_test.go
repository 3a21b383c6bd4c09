package main

import (
	"bytes"
	"context"
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
