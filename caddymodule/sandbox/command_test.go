package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// newCommand returns the command huma-sandbox with arguments.
func newCommand(out io.Writer, args ...string) *cobra.Command {
	cmd := &cobra.Command{Use: "huma-sandbox", SilenceErrors: true, SilenceUsage: true}
	configureCommand(cmd)
	cmd.SetArgs(args)
	cmd.SetOut(out)
	return cmd
}

// runningCommand is the command huma-sandbox that runs in a goroutine.
type runningCommand struct {
	t      *testing.T
	out    *io.PipeReader
	cancel context.CancelFunc
	done   chan error
}

// runCommand starts the command with arguments. It is canceled when the test ends.
func runCommand(t *testing.T, args ...string) *runningCommand {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	c := &runningCommand{t, r, cancel, make(chan error, 1)}
	cmd := newCommand(w, args...)
	go func() { c.done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		_ = r.Close()
	})
	return c
}

// stop cancels the command, as Ctrl-C does, and returns its error.
func (c *runningCommand) stop() error {
	c.t.Helper()
	c.cancel()
	select {
	case err := <-c.done:
		return err
	case <-time.After(10 * time.Second):
		c.t.Fatal("the command does not return")
		return nil
	}
}

// TestCommandServes checks that the printed credentials work until the command is
// stopped.
func TestCommandServes(t *testing.T) {
	cmd := runCommand(t, "--listen", "127.0.0.1:0", "--user", "alice@example.com", "--json")
	var b banner
	if err := json.NewDecoder(cmd.out).Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Huma.API != b.URL || b.ConfigFile.APIURL != b.URL || b.HumanAPI.API != b.URL || b.ConfigFile.Clients["ios"] != "c1" || b.HumanAPI.ClientID != "hapi1" {
		t.Errorf("%+v", b)
	}
	c := sandboxtest.New(t, b.URL)
	c.Secret = b.Huma.Secret
	for name, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		if got := c.Post(sandboxtest.SignIn, strings.ReplaceAll(sandboxtest.AliceSignIn, "alice", name)); got.Status != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := cmd.stop(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(b.URL, "http://")); err == nil {
		_ = conn.Close()
		t.Error("still listening after the stop")
	}
}

// TestCommandPrintsBanner checks that the text has Caddyfile options and commands to
// copy.
func TestCommandPrintsBanner(t *testing.T) {
	cmd := runCommand(t, "--listen", "localhost:0")
	var text strings.Builder
	for lines := bufio.NewScanner(cmd.out); !strings.Contains(text.String(), "Press Ctrl-C to stop"); {
		if !lines.Scan() {
			t.Fatal(lines.Err(), text.String())
		}
		text.WriteString(lines.Text() + "\n")
	}
	for _, part := range []string{
		"Sandbox of Huma and Human API Connect at http://127.0.0.1:", "huma_token {\n\t\tapi http://", "client_id ios c1\n", "client_secret sandbox-secret\n",
		`{"apiUrl":"http://`, `"clients":{"android":"c2","ios":"c1","web":"c3"}`, "curl -X PUT http://",
	} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("without %q:\n%s", part, text.String())
		}
	}
	if err := cmd.stop(); err != nil {
		t.Error(err)
	}
}

// TestCommandPrintsOldestEdition checks the banner of the oldest edition, as text and as
// JSON.
func TestCommandPrintsOldestEdition(t *testing.T) {
	var text bytes.Buffer
	s := &standalone{}
	cfg := Config{Edition: "oldest", ProjectID: "p1", ClientIDs: map[string]string{"ios": "c1"}, Secret: "sandbox-secret"}
	addr := &net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: 9000}
	if err := s.printBanner(&text, cfg, addr); err != nil {
		t.Fatal(err)
	}
	const options = `
	huma_token {
		api http://127.0.0.1:9000
		project_id p1
		deployment_id off
		client_id ios c1
		header_up verification-token sandbox-secret
		signature off
		sign_in {
			path /auth/v1/private/signin
			body method 4
		}
		sign_up {
			path /auth/v1/private/signup
			body method 4
			omit ipAddress
		}
		registration {
			activation_code any-text
		}
	}
`
	if !strings.Contains(text.String(), options) || strings.Contains(text.String(), "huma-config.json") {
		t.Errorf("printed\n%s", text.String())
	}
	text.Reset()
	s.json = true
	if err := s.printBanner(&text, cfg, addr); err != nil {
		t.Fatal(err)
	}
	var b map[string]json.RawMessage
	if err := json.Unmarshal(text.Bytes(), &b); err != nil || b["huma_config"] != nil {
		t.Fatalf("%v %s", err, text.String())
	}
	const want = `{"api":"http://127.0.0.1:9000","project_id":"p1","deployment_id":"off","client_id":{"ios":"c1"},` +
		`"signature":{"algorithm":"off"},"header_up":{"verification-token":["sandbox-secret"]},` +
		`"sign_in":{"path":"/auth/v1/private/signin","body":{"method":4}},"sign_up":{"path":"/auth/v1/private/signup","body":{"method":4},"omit":["ipAddress"]}}`
	if got := sandboxtest.Compact(t, b["huma_token"]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestCommandStopsDuringCalls checks that a call in progress delays the stop by at most
// the shutdown timeout.
func TestCommandStopsDuringCalls(t *testing.T) {
	cmd := runCommand(t, "--listen", "127.0.0.1:0", "--json")
	var b banner
	if err := json.NewDecoder(cmd.out).Decode(&b); err != nil {
		t.Fatal(err)
	}
	c := sandboxtest.New(t, b.URL)
	if got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"delay":"1h"}]`)); got.Status >= 300 {
		t.Fatalf("%+v", got)
	}
	hung := make(chan error, 1)
	call := c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn)
	go func() {
		_, err := c.Do(call)
		hung <- err
	}()
	testutil.Eventually(t, 10*time.Second, "the call is logged", func() bool { return len(callsOf(c)) > 0 })
	if err := cmd.stop(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-hung:
		if err == nil {
			t.Error("the call got a response")
		}
	case <-time.After(10 * time.Second):
		t.Error("the call did not return")
	}
}

// callsOf returns the calls in the log of the sandbox.
func callsOf(c *sandboxtest.Client) []Call {
	var log CallLog
	_ = json.Unmarshal([]byte(c.Send(c.Request(http.MethodGet, "/_sandbox/calls", "")).Text), &log)
	return log.Calls
}

// TestCommandRejects checks that an address that is not loopback needs --allow-remote,
// and wrong flags and addresses are errors.
func TestCommandRejects(t *testing.T) {
	taken := testutil.Listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // none of them starts to serve
	defer cancel()
	for args, part := range map[string]string{
		"--listen 0.0.0.0:0":                "is not a loopback address",
		"--listen :0":                       "is not a loopback address",
		"--listen clinic.example:80":        "is not a loopback address",
		"--listen 127.0.0.1":                "is not host:port",
		"--user alice":                      "user: address 1 is not of the form",
		"--port 1":                          "unknown flag",
		"--edition old":                     "unknown edition",
		"now":                               "unexpected argument",
		"--listen " + taken.Addr().String(): "address already in use",
	} {
		var out, log bytes.Buffer
		cmd := newCommand(&out, strings.Fields(args)...)
		cmd.SetErr(&log)
		if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(log.String(), part) {
			t.Errorf("%s: %v: %s", args, err, &log)
		}
		if out.Len() > 0 {
			t.Errorf("%s: %s", args, &out)
		}
	}
	cmd := runCommand(t, "--listen", "0.0.0.0:0", "--allow-remote", "--json")
	var b banner
	if err := json.NewDecoder(cmd.out).Decode(&b); err != nil || !strings.HasPrefix(b.URL, "http://localhost:") {
		t.Errorf("%+v %v", b, err)
	}
	if err := cmd.stop(); err != nil {
		t.Error(err)
	}
}

// TestCommandCannotPrint checks that without its output the address is unknown, so the
// command fails.
func TestCommandCannotPrint(t *testing.T) {
	cmd := runCommand(t, "--listen", "127.0.0.1:0")
	_ = cmd.out.Close()
	select {
	case err := <-cmd.done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(10 * time.Second):
		t.Error("the command did not return")
	}
}
