package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// addresses lists the variables of a script that are free addresses of loopback, host:port.
var addresses = []string{"SITE", "ADMIN", "HUMA", "AUTH", "DOWN"}

// scriptPatience is how long a script waits for a server.
const scriptPatience = 30 * time.Second

// TestScript runs the dialogues in testdata/script: each file is a story, with the
// commands that an operator types, and what they print. Besides the commands of testscript
// (go doc github.com/rogpeppe/go-internal/testscript), scripts can use
//
//	caddy …           the real main function, in a process of its own
//	exits <n> …       like exec, and the exit code must be n; writes the output to the
//	                  files out and err, with the names of variables instead of free
//	                  addresses, and N instead of durations
//	waitfor <url>     wait until the server of a URL responds
//	replace <file> <old> <new>
//	                  edit a file as the operator does
//	get <status> <url> [<header>…]
//	                  send a GET request, whose response must have a status; its body is
//	                  the standard output
//	put <url> <file>  send a PUT request with a JSON file
//
// and the variables of setupScript. To rewrite the expected outputs:
//
//	go test ./cmd/caddy -run TestScript -update
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		Setup:              setupScript,
		UpdateScripts:      *golden.Update,
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   scriptExits,
			"waitfor": scriptWaitFor,
			"replace": scriptReplace,
			"get":     scriptGet,
			"put":     scriptPut,
		},
	})
}

// setupScript sets the environment of a script: free addresses, a home directory, and no
// proxies.
func setupScript(env *testscript.Env) error {
	for _, name := range addresses {
		address, err := freeport.Address(context.Background())
		if err != nil {
			return err
		}
		env.Setenv(name, address)
	}
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		env.Setenv(name, env.WorkDir+"/.home")
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_COLOR"} {
		env.Setenv(name, "")
	}
	env.Setenv("HUMA_SECRET", "sandbox-secret") // of huma-sandbox
	env.Setenv("PASSWORD", "wonderland")        // of alice@clinic.example at the sites
	env.Setenv("PASSWORD_HASH", "$2a$10$Yh2OFjjVtT0QR7s5cz2Du..NgxlRBbhgtsXhR4Zi4waWWqiXEn6l2")
	return nil
}

// scriptExits implements the command exits.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits <code> <program> [<argument>...]")
	}
	code := 0
	var failed *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failed):
		code = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	for from, to := range map[string]string{"stdout": "out", "stderr": "err"} {
		text := durations.ReplaceAllString(ts.ReadFile(from), "${1}N${2}")
		text = padding.ReplaceAllString(text, "N ms  ")
		for _, name := range addresses {
			text = strings.ReplaceAll(text, ts.Getenv(name), "$"+name)
		}
		ts.Check(os.WriteFile(ts.MkAbs(to), []byte(text), 0o600))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// durations matches the durations of calls and the lifetimes of tokens in the output of
// the commands.
var durations = regexp.MustCompile(`((?:expires in )?)\b\d+(?:h\d+)?(?:m\d+)?( ms\b| seconds\b|s\n)`)

// padding matches the end of a column of durations.
var padding = regexp.MustCompile(`N ms {3,}`)

// scriptWaitFor implements the command waitfor. The interval between attempts to connect
// is short; a server is ready as soon as it accepts the connection.
func scriptWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor <url>")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
		ts.Check(err)
		response, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = response.Body.Close()
			return
		}
		if !errors.As(err, new(*net.OpError)) {
			ts.Fatalf("%v", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("no server responds at %s: %v", args[0], err)
		}
	}
}

// scriptReplace implements the command replace. \n and \t in the texts are a line break
// and a tab.
func scriptReplace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace <file> <old> <new>")
	}
	text := ts.ReadFile(args[0])
	escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	before, after, found := strings.Cut(text, escapes.Replace(args[1]))
	if !found {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(before+escapes.Replace(args[2])+after), 0o600))
}

// scriptGet implements the command get.
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get <status> <url> [<header>...]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[1], nil)
	ts.Check(err)
	for _, header := range args[2:] {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(req) // follows no redirects
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	ts.Check(err)
	_, _ = fmt.Fprintf(ts.Stdout(), "%s", body.Bytes())
	if strconv.Itoa(response.StatusCode) != args[0] {
		ts.Fatalf("status %d, want %s", response.StatusCode, args[0])
	}
}

// scriptPut implements the command put.
func scriptPut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: put <url> <file>")
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, args[0], strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	response, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("status %d", response.StatusCode)
	}
}
