package e2e

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processTimeout is the timeout for the start or the end of a process.
const processTimeout = 30 * time.Second

// process is a process that a test has started, including its children.
type process struct {
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
}

// output buffers the output of a process. It is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs a program and waits until it listens on address, a TCP address or the path of a
// Unix socket. The program is stopped at
// the end of the test. Its environment is env, and does not include the environment of
// the test.
func start(t *testing.T, dir, address string, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.out, &p.out
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	// With its own process group, its children can be killed too.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(program), &p.out)
		}
	})
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	for end := time.Now().Add(processTimeout); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial(network, address); err == nil {
			conn.Close()
			return p
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %v", filepath.Base(program), p.cmd.ProcessState)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen", filepath.Base(program))
		}
	}
}

// stop sends SIGTERM, as a service manager does, and waits for the end. The process may
// have ended before.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(processTimeout):
		t.Errorf("%s did not end", filepath.Base(p.cmd.Path))
	}
	// Kill the remaining processes of the group.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	<-p.ended
}

// kill kills the process with its children.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// freePort returns a free loopback port below the range of ephemeral ports, so that no
// outgoing connection uses it before the process listens.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(12_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
