package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

func TestMain(m *testing.M) {
	if os.Getenv("TEST_FAKE_CADDY") != "" {
		fakeCaddy()
		return
	}
	goleak.VerifyTestMain(m)
}

// fakeCaddy is the main function of the process that tests start. It logs two lines and
// listens on an address in its config, or exits with code 3.
func fakeCaddy() {
	text, err := os.ReadFile(os.Args[3])
	fmt.Fprintf(os.Stderr, "first line\nsecond line\n%s %v", os.Args[1:3], err)
	address, found := strings.CutPrefix(string(text), "listen ")
	if !found {
		os.Exit(3)
	}
	_ = http.ListenAndServe(address, nil)
}

// start starts the test binary as a fake Caddy.
func start(t *testing.T, ctx context.Context, cfg Config) (*Process, error) {
	t.Helper()
	t.Setenv("TEST_FAKE_CADDY", "1")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Binary, cfg.Dir = binary, t.TempDir()
	return Start(ctx, cfg)
}

// TestBuild checks that a build error has the output of the compiler.
func TestBuild(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte("package main\n\nfunc main() { missing() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := BuildOf(t.Context(), file+".out", file); err == nil || !strings.Contains(err.Error(), "undefined: missing") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := BuildOf(t.Context(), file+".out", file, "-trimpath"); err != nil {
		t.Error(err)
	}
}

// TestCPU checks that CPU returns processor time, not elapsed time.
func TestCPU(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{cmd: &exec.Cmd{Process: self}}
	before, err := p.CPU()
	if runtime.GOOS != "linux" && errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	const used = 50 * time.Millisecond
	after := before
	for err == nil && after < before+used {
		after, err = p.CPU() // uses processor time itself
	}
	time.Sleep(4 * used)
	if later, laterErr := p.CPU(); err != nil || laterErr != nil || later-after > 2*used {
		t.Errorf("%s more after a sleep; %v, %v", later-after, err, laterErr)
	}
	p.cmd.Process.Pid = 1 << 25 // above the maximum process id
	if _, err := p.CPU(); err == nil {
		t.Error("no error for a process that does not exist")
	}
}

func TestStartFails(t *testing.T) {
	if _, err := start(t, t.Context(), Config{Caddyfile: "nonsense", Sites: []string{"127.0.0.1:1"}}); err == nil ||
		!strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "second line") {
		t.Errorf("exits at once: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := start(t, ctx, Config{Caddyfile: "listen 127.0.0.1:0", Sites: []string{"127.0.0.1:1"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("never listens: %v", err)
	}
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := start(t, ctx, Config{Caddyfile: "listen " + address, Sites: []string{address, "127.0.0.1:1"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("listens on one of two addresses: %v", err)
	}
	if _, err := Start(t.Context(), Config{Binary: "/nowhere", Dir: t.TempDir()}); err == nil {
		t.Error("no error for a missing executable")
	}
}
