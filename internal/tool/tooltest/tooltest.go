// Package tooltest helps to test tools that start a Caddy. The test binary plays
// both: the tool, so that a test can send it signals, and its Caddy, which has the
// modules of cmd/caddy, so that no test has to link another binary.
package tooltest

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"go.uber.org/goleak"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-huma/caddy-huma/caddymodule"
	_ "github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// reexec makes a process of the test binary play the command or, if its first argument
// is "run", Caddy.
const reexec = "CADDY_HUMA_PLAY"

// Main runs the tests of a command; call it in TestMain. It fails if the tests leave
// goroutines behind.
func Main(m *testing.M, command func()) {
	switch {
	case os.Getenv(reexec) == "":
		_ = os.Setenv(reexec, "1")
		goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
	case len(os.Args) > 1 && os.Args[1] == "run":
		caddycmd.Main()
	default:
		command()
	}
}

// Binary returns the path of the test binary, which is a Caddy for the processes that
// a test starts.
func Binary(t testing.TB) string {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Long reports whether tests may take minutes, as in .ci/nightly: whether
// CADDY_HUMA_LONG is 1.
func Long() bool { return os.Getenv("CADDY_HUMA_LONG") == "1" }

// Interrupt runs the command and, once its messages match running, either sends it
// SIGINT or, if gone is true, stops reading its messages. It fails if the command or
// a process that running matches in its first group does not end within a minute.
func Interrupt(t *testing.T, gone bool, running *regexp.Regexp, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	messages := bufio.NewReader(r)
	pid := 0
	for pid == 0 {
		line, err := messages.ReadString('\n')
		if found := running.FindStringSubmatch(line); found != nil {
			pid, _ = strconv.Atoi(found[1])
		} else if err != nil {
			t.Fatalf("it did not run: %v, %v", err, cmd.Wait())
		}
	}
	if gone {
		_ = r.Close()
	} else {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, messages)
	}
	_ = cmd.Wait() // the exit code is the command's own matter
	if ctx.Err() != nil {
		t.Error("it did not end")
	}
	if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
		t.Errorf("process %d is left", pid)
	}
}
