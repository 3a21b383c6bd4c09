package main

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// escapes matches escape sequences of a terminal.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// onTerminal runs a command whose standard output and standard error are a terminal of 60
// columns, and returns what it writes. When started is not nil, it is called after the start.
func onTerminal(t *testing.T, env []string, started func(screen io.Reader), args ...string) (code int, text string) {
	t.Helper()
	terminal, screen := testutil.OpenTerminal(t, 60)
	cmd := caddyCommand(t, append([]string{"TERM=xterm"}, env...), args...)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = terminal.Close() // so that the screen ends when the command does
	var all strings.Builder
	out := io.TeeReader(screen, &all)
	if started != nil {
		started(out)
	}
	_, _ = io.Copy(io.Discard, out) // Linux returns EIO at the end
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(all.String(), "\r\n", "\n")
}

// brokenSite writes a Caddyfile whose site has a problem, a warning and a secret in plain
// text. api is the URL of Huma.
func brokenSite(t *testing.T, api string) string {
	t.Helper()
	return testutil.WriteFile(t, "Caddyfile", `http://localhost:8080 {
	huma_token {
		api `+api+`
		project_id p1
		deployment_id d1
		client_id c1
		secret sandbox-secret
		identity basic_auth
	}
	basic_auth {
		alice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
	}
	try_files {path} /index.html
	file_server
}
`)
}

// steps matches the steps of a command, which it clears.
var steps = regexp.MustCompile("[^\r\n]{0,59}\r\x1b\\[K")

// TestTerminal checks that the output of caddy huma check on a terminal of 60 columns is
// wrapped and colored, and that nothing else stays: no log lines and no progress.
func TestTerminal(t *testing.T) {
	config := brokenSite(t, "http://127.0.0.1:1")
	for _, c := range []struct {
		name    string
		env     []string
		colored bool
	}{
		{"colors", []string{"NO_COLOR="}, true},
		{"NO_COLOR", []string{"NO_COLOR=1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, text := onTerminal(t, c.env, nil, "huma", "check", "--config", config, "--offline")
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, sequence := range []string{"\x1b[32mok     \x1b[0m", "\x1b[31mproblem\x1b[0m", "\x1b[33mwarning\x1b[0m"} {
				if strings.Contains(text, sequence) != c.colored {
					t.Errorf("%q: %t, want %t", sequence, !c.colored, c.colored)
				}
			}
			const want = `huma_token localhost:8080/private/huma-token (Caddyfile:2)
  config     ok       the options are valid
`
			plain := escapes.ReplaceAllString(steps.ReplaceAllString(text, ""), "")
			if !strings.HasPrefix(plain, want) || !strings.HasSuffix(plain, "\n1 problem, 1 warning\n") {
				t.Errorf("the output has other lines:\n%s", plain)
			}
			for line := range strings.Lines(plain) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 60 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

// TestTerminalProgress checks that caddy huma check and caddy huma token show what they
// wait for, and clear that line before the output.
func TestTerminalProgress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		step string
	}{
		"check": {[]string{"check", "--timeout", "20s"}, "waiting for the services …"},
		"token": {[]string{"token", "--email", "a@x.example"}, "waiting for the service …"},
	} {
		t.Run(name, func(t *testing.T) {
			hangs := testutil.Listen(t)
			config := brokenSite(t, "http://"+hangs.Addr().String())
			_, text := onTerminal(t, nil, func(screen io.Reader) {
				var shown strings.Builder
				one := make([]byte, 1)
				for !strings.HasSuffix(shown.String(), c.step) {
					if _, err := screen.Read(one); err != nil {
						t.Fatalf("%v, after %q", err, shown.String())
					}
					shown.Write(one)
				}
				_ = hangs.Close() // resets the connection
			}, append([]string{"huma", c.args[0], "--config", config}, c.args[1:]...)...)
			const clear = "\r\x1b[K"
			after := text[strings.LastIndex(text, clear)+len(clear):]
			if !strings.Contains(text, c.step+clear) || !strings.HasPrefix(after, "huma_token localhost:8080") {
				t.Errorf("the output is %q", text)
			}
		})
	}
}
