// Package redisserver runs real Redis servers on loopback ports, for tests and for tools
// that need a server which they can kill or pause.
package redisserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

const (
	// startTimeout is how long Run waits for the first reply.
	startTimeout = 10 * time.Second

	// pollInterval is the time between two attempts of Run to get a reply.
	pollInterval = 10 * time.Millisecond
)

// ErrMissing means that redis-server is not installed.
var ErrMissing = errors.New("redis-server is not installed (on Debian: apt-get install redis-server; on macOS: brew install redis)")

// Path returns the path of redis-server. The error wraps ErrMissing.
func Path() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return path, nil
}

// Server is a redis-server that can be killed, paused and restarted. It has no
// persistence. Create it with New, NewSentinel or Start. Run, Kill, Stop and Continue
// must not be called concurrently; the other methods may be called by any goroutine
// meanwhile.
type Server struct {
	// Port is the port on 127.0.0.1.
	Port int

	path  string
	args  []string
	cmd   *exec.Cmd     // nil before the first Run
	ended chan struct{} // closed when cmd has exited
	out   *bytes.Buffer // output; must be read after the exit only
}

// New returns a server that Run starts. args are additional arguments of redis-server.
// dir is its working directory, for files such as the configuration of a cluster.
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

// NewSentinel returns a Sentinel that Run starts. It monitors master under the name
// "mymaster". Its configuration is a file in dir.
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

// Start calls New with a free port, and Run.
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

// Addr returns the host:port of the server.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Run starts the server and waits for the first reply. It can be called again after the
// server has exited. ctx applies to Run only: the caller must call Kill.
func (s *Server) Run(ctx context.Context) error {
	cmd, out, ended := exec.CommandContext(context.WithoutCancel(ctx), s.path, s.args...), new(bytes.Buffer), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.cmd, s.out, s.ended = cmd, out, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // usually "signal: killed"
	}()
	if err := s.waitReady(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start redis-server %s: %w\n%s", strings.Join(s.args, " "), err, out)
	}
	return nil
}

// waitReady waits for a reply. It returns an error if the reply shows that it is from
// another server, which has taken the port. An error reply, such as NOAUTH, does not show
// that, and means that the server is ready.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		info, err := s.info(ctx)
		var reply redis.Error
		if errors.As(err, &reply) {
			return nil
		}
		if text, _ := info.(string); err == nil {
			if !strings.Contains(text, fmt.Sprintf("\nprocess_id:%d\r", s.PID())) {
				return fmt.Errorf("another server responds on port %d", s.Port)
			}
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-s.ended:
			return errors.New("redis-server exited")
		case <-ctx.Done():
			return fmt.Errorf("no reply: %w", err)
		}
	}
}

// info returns the reply to INFO server. Before the server listens, it returns an error
// without a client of Redis, which would log it.
func (s *Server) info(ctx context.Context) (any, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	return s.Do(ctx, "INFO", "server")
}

// PID returns the process id. Run must have been called.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill kills the server with SIGKILL, even if it is paused, and waits for its exit.
// Further calls do nothing.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // an error means that it has exited
	<-s.ended
}

// Stop pauses the server with SIGSTOP: the system still accepts connections, but there
// are no replies. Without this signal, it returns errors.ErrUnsupported.
func (s *Server) Stop() error { return s.signal(stopSignal) }

// Continue resumes the server after Stop.
func (s *Server) Continue() error { return s.signal(continueSignal) }

// signal sends a signal to the server.
func (s *Server) signal(sig os.Signal) error {
	if sig == nil {
		return errors.ErrUnsupported
	}
	return s.cmd.Process.Signal(sig)
}
