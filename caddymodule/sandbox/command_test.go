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

// newCommand is the command with arguments.
func newCommand(out io.Writer, args ...string) *cobra.Command {
	cmd := &cobra.Command{Use: "huma-sandbox", SilenceErrors: true, SilenceUsage: true}
	configureCommand(cmd)
	cmd.SetArgs(args)
	cmd.SetOut(out)
	return cmd
}

// runningCommand is a sandbox that the command runs.
type runningCommand struct {
	t      *testing.T
	out    *io.PipeReader
	cancel context.CancelFunc
	done   chan error
}

func runCommand(t *testing.T, args ...string) *runningCommand {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	r, w := io.Pipe()
	p := &runningCommand{t, r, end, make(chan error, 1)}
	cmd := newCommand(w, args...)
	go func() { p.done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		end()
		_ = r.Close()
	})
	return p
}

// stop ends the command, as Ctrl-C does, and returns what it ends with.
func (p *runningCommand) stop() error {
	p.t.Helper()
	p.cancel()
	select {
	case err := <-p.done:
		return err
	case <-time.After(10 * time.Second):
		p.t.Fatal("the command does not end")
		return nil
	}
}

// TestCommandPlays: what is printed is enough to use it, until it is ended.
func TestCommandServes(t *testing.T) {
	p := runCommand(t, "--listen", "127.0.0.1:0", "--user", "alice@example.com", "--json")
	var i banner
	if err := json.NewDecoder(p.out).Decode(&i); err != nil {
		t.Fatal(err)
	}
	if i.Huma.API != i.URL || i.ConfigFile.APIURL != i.URL || i.HumanAPI.API != i.URL || i.ConfigFile.Clients["ios"] != "c1" || i.HumanAPI.ClientID != "hapi1" {
		t.Errorf("%+v", i)
	}
	c := sandboxtest.New(t, i.URL)
	c.Secret = i.Huma.Secret
	for name, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		if got := c.Post(sandboxtest.SignIn, strings.ReplaceAll(sandboxtest.AliceSignIn, "alice", name)); got.Status != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(i.URL, "http://")); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}

// TestCommandIntroduces: a person gets lines to copy.
func TestCommandPrintsBanner(t *testing.T) {
	p := runCommand(t, "--listen", "localhost:0")
	var text strings.Builder
	for lines := bufio.NewScanner(p.out); !strings.Contains(text.String(), "nothing of it is kept"); {
		if !lines.Scan() {
			t.Fatal(lines.Err(), text.String())
		}
		text.WriteString(lines.Text() + "\n")
	}
	for _, part := range []string{
		"played at http://127.0.0.1:", "huma_token {\n\t\tapi http://", "client_id ios c1\n", "client_secret sandbox-secret\n",
		`{"apiUrl":"http://`, `"clients":{"android":"c2","ios":"c1","web":"c3"}`, "curl -X PUT http://", "Ctrl-C ends it",
	} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("without %q:\n%s", part, text.String())
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestCommandEndsWithCalls: a call that hangs keeps it for a moment, and no more.
func TestCommandStopsDuringCalls(t *testing.T) {
	p := runCommand(t, "--listen", "127.0.0.1:0", "--json")
	var i banner
	if err := json.NewDecoder(p.out).Decode(&i); err != nil {
		t.Fatal(err)
	}
	c := sandboxtest.New(t, i.URL)
	if got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"delay":"1h"}]`)); got.Status >= 300 {
		t.Fatalf("%+v", got)
	}
	hung := make(chan error, 1)
	call := c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn)
	go func() {
		_, err := c.Do(call)
		hung <- err
	}()
	testutil.Eventually(t, 10*time.Second, "the call arrives", func() bool { return len(callsOf(c)) > 0 })
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-hung:
		if err == nil {
			t.Error("the call was answered")
		}
	case <-time.After(10 * time.Second):
		t.Error("the call goes on")
	}
}

func callsOf(c *sandboxtest.Client) []Call {
	var log CallLog
	_ = json.Unmarshal([]byte(c.Send(c.Request(http.MethodGet, "/_sandbox/calls", "")).Text), &log)
	return log.Calls
}

// TestCommandRefuses: it listens where nobody else can reach it, unless it is told.
func TestCommandRejects(t *testing.T) {
	taken := testutil.Listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // none of them plays
	defer cancel()
	for args, part := range map[string]string{
		"--listen 0.0.0.0:0":                "others may reach",
		"--listen :0":                       "others may reach",
		"--listen clinic.example:80":        "others may reach",
		"--listen 127.0.0.1":                "is not host:port",
		"--user alice":                      "user: address 1 is not of the form",
		"--port 1":                          "unknown flag",
		"now":                               "unknown command",
		"--listen " + taken.Addr().String(): "address already in use",
	} {
		var out bytes.Buffer
		if err := newCommand(&out, strings.Fields(args)...).ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", args, err)
		}
		if out.Len() > 0 {
			t.Errorf("%s: %s", args, &out)
		}
	}
	p := runCommand(t, "--listen", "0.0.0.0:0", "--allow-remote", "--json")
	var i banner
	if err := json.NewDecoder(p.out).Decode(&i); err != nil || !strings.HasPrefix(i.URL, "http://localhost:") {
		t.Errorf("%+v %v", i, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestCommandCannotPrint: nobody would know where it listens.
func TestCommandCannotPrint(t *testing.T) {
	p := runCommand(t, "--listen", "127.0.0.1:0")
	_ = p.out.Close()
	select {
	case err := <-p.done:
		if err == nil {
			t.Error("it says that it is well")
		}
	case <-time.After(10 * time.Second):
		t.Error("it plays for nobody")
	}
}
