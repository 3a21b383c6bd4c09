// Package redisserver runs real Redis servers on loopback ports, for tests and
// for programs that show what becomes of the plugin without them.
package redisserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

const (
	// startTime is how long a server has to answer after it was started.
	startTime = 10 * time.Second

	// pollInterval is how often it is asked meanwhile.
	pollInterval = 10 * time.Millisecond
)

// ErrMissing says that there is no redis-server on this machine.
var ErrMissing = errors.New("redis-server is not installed")

// HowToInstall is for the messages to who has none.
const HowToInstall = "on Debian: apt-get install redis-server; on macOS: brew install redis"

// Path finds the program. Its error wraps ErrMissing.
func Path() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return path, nil
}

// Server is a redis-server that can be killed, stopped and started again. It
// keeps nothing on disk. What starts and ends it is for one goroutine; the
// others may send commands meanwhile.
type Server struct {
	// Port is the one of 127.0.0.1 that it listens on.
	Port int

	path  string
	args  []string
	cmd   *exec.Cmd     // nil: never started
	ended chan struct{} // closed when cmd has ended
	out   *bytes.Buffer // what it said; to be read once it has ended
}

// New returns a server for Run to start, with further arguments. In dir it may
// leave files, such as a cluster's configuration.
func New(dir string, port int, args ...string) (*Server, error) {
	path, err := Path()
	if err != nil {
		return nil, err
	}
	return &Server{Port: port, path: path, args: append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", dir, "--loglevel", "warning", "--enable-debug-command", "local",
	}, args...)}, nil
}

// NewSentinel returns a sentinel, for Run to start, that watches a master under
// the name "mymaster". Its configuration is a file in dir.
func NewSentinel(dir string, port int, master *Server) (*Server, error) {
	path, err := Path()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n", port, master.Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return &Server{Port: port, path: path, args: []string{file, "--sentinel"}}, nil
}

// Start is New with a free port, and Run.
func Start(ctx context.Context, dir string, args ...string) (*Server, error) {
	port, err := freeport.Find(ctx)
	if err != nil {
		return nil, err
	}
	s, err := New(dir, port, args...)
	if err != nil {
		return nil, err
	}
	return s, s.Run(ctx)
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Run starts the server, also again, and waits until it answers. It does not end
// with ctx: Kill it.
func (s *Server) Run(ctx context.Context) error {
	cmd, out, ended := exec.CommandContext(context.WithoutCancel(ctx), s.path, s.args...), new(bytes.Buffer), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.cmd, s.out, s.ended = cmd, out, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // mostly it was killed
	}()
	if err := s.waitReady(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start redis-server %s: %w\n%s", strings.Join(s.args, " "), err, out)
	}
	return nil
}

// waitReady waits until the server answers something: one that wants a password
// runs, too.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		_, err := s.Do(ctx, "PING")
		var answer *ReplyError
		if err == nil || errors.As(err, &answer) {
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-s.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		}
	}
}

// PID is the process id of a server that was started.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ended is closed when a server that was started has ended, for whatever reason.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Kill ends the server as a crash would, also one that is stopped. It may be
// called again.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.ended
}

// Stop makes the server hang: it accepts connections and does nothing. On
// systems without such a signal it is errors.ErrUnsupported.
func (s *Server) Stop() error { return s.signal(stopSignal) }

// Continue makes a server that was stopped go on.
func (s *Server) Continue() error { return s.signal(continueSignal) }

func (s *Server) signal(sig os.Signal) error {
	if sig == nil {
		return errors.ErrUnsupported
	}
	return s.cmd.Process.Signal(sig)
}
