package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
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

func TestStartAndStop(t *testing.T) {
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	p, err := start(t, t.Context(), Config{
		Caddyfile: "listen " + address, Sites: []string{address},
		Line: func(line []byte) { lines = append(lines, string(line)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.PID() <= 0 {
		t.Errorf("process %d", p.PID())
	}
	// The fake does not handle SIGTERM, so the signal kills it.
	if err := p.Stop(); err == nil {
		t.Error("Stop returned no error")
	}
	select {
	case <-p.Ended():
	default:
		t.Error("Ended is not closed")
	}
	if want := []string{"first line", "second line"}; !slices.Equal(lines, want) {
		t.Errorf("lines: %q", lines)
	}
	if got := string(p.log.tail()); got != "first line\nsecond line" {
		t.Errorf("tail: %q", got)
	}
	_ = p.Stop() // once more
}

// TestArgs checks that with Args the process gets these arguments and no Caddyfile.
func TestArgs(t *testing.T) {
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "its own")
	if err := os.WriteFile(file, []byte("listen "+address), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := start(t, t.Context(), Config{Args: []string{"serve", "as", file}, Caddyfile: "nonsense", Sites: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(p.cfg.Dir); len(files) > 0 || err != nil {
		t.Errorf("%q %v", files, err)
	}
	_ = p.Stop()
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
	p := admin(t, nil) // this process
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

// admin returns a Process for the test process itself, with h as its admin endpoint.
func admin(t *testing.T, h http.HandlerFunc) *Process {
	t.Helper()
	srv := httptest.NewServer(h)
	transport := new(http.Transport)
	t.Cleanup(srv.Close)
	t.Cleanup(transport.CloseIdleConnections)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &Process{
		cfg:   Config{Admin: srv.Listener.Addr().String(), Caddyfile: "the config"},
		cmd:   &exec.Cmd{Process: self},
		admin: &http.Client{Transport: transport},
	}
}

func TestMetrics(t *testing.T) {
	status := http.StatusOK
	p := admin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "# TYPE go_goroutines gauge\ngo_goroutines 42\nx{a=\"b c\"} 1.5e+06\n\nnonsense\n")
	})
	want := map[string]float64{MetricGoroutines: 42, `x{a="b c"}`: 1.5e6}
	if got, err := p.Metrics(t.Context()); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	status = http.StatusNotFound
	if got, err := p.Metrics(t.Context()); err == nil {
		t.Errorf("no error: %v", got)
	}
}

func TestReload(t *testing.T) {
	status := http.StatusOK
	p := admin(t, func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		if r.Method != http.MethodPost || r.URL.Path != "/load" || r.Header.Get("Content-Type") != "text/caddyfile" || string(body[:n]) != "the config" {
			t.Errorf("%s %s %q", r.Method, r.URL, body[:n])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "the message")
	})
	if err := p.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	status = http.StatusBadRequest
	if err := p.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "400 Bad Request: the message") {
		t.Errorf("%v", err)
	}
}
