// Package tooltest has helpers for tests of tools that start Caddy. The test binary is
// also used as the tool, so that a test can send it signals, and as Caddy with the
// modules of cmd/caddy except the sandbox, so that no other binary has to be linked.
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

// reexec is the environment variable that makes a process of the test binary run Caddy,
// if its first argument is "run", or the command.
const reexec = "CADDY_HUMA_TEST_REEXEC"

// Main runs the tests of a command. Call it in TestMain. It fails if goroutines are left
// after the tests.
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

// Binary returns the path of the test binary, which tests start as Caddy.
func Binary(t testing.TB) string {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Long reports whether CADDY_HUMA_LONG is 1: whether slow tests run, as in .ci/nightly.
func Long() bool { return os.Getenv("CADDY_HUMA_LONG") == "1" }

// Interrupt runs the command until its messages match running. Then it sends SIGINT or,
// if closePipe is true, closes the pipe from which it reads the messages. It fails the
// test if the command, or the process whose id is the first group of running, does not
// exit within a minute.
func Interrupt(t *testing.T, closePipe bool, running *regexp.Regexp, args ...string) {
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
			t.Fatalf("no message matches %s: %v, %v", running, err, cmd.Wait())
		}
	}
	if closePipe {
		_ = r.Close()
	} else {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, messages)
	}
	_ = cmd.Wait() // the exit code is not checked
	if ctx.Err() != nil {
		t.Error("the command did not exit")
	}
	if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
		t.Errorf("process %d did not exit", pid)
	}
}
