// Package redistest starts real Redis servers for tests, on free loopback
// ports, and ends what it started.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// required is the variable that makes a missing redis-server a failure.
const required = "CADDY_HUMA_REDIS"

// startTime is how long a server has to answer after it was started.
const startTime = 10 * time.Second

// Need skips the test, loudly, on a machine without redis-server; with
// CADDY_HUMA_REDIS=1 it fails.
func Need(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv(required) == "1":
		t.Fatalf("redis-server is not installed, and %s=1 requires it", required)
	default:
		t.Skipf("LEFT OUT: %s needs redis-server, which is not installed. Nothing of the shared store is tested without it.", t.Name())
	}
	return path
}

// FreePort is a port that nobody listened on a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// Server is a redis-server that can be killed, stopped and started again.
type Server struct {
	Port int

	t    testing.TB
	path string
	dir  string
	args []string
	cmd  *exec.Cmd
	out  strings.Builder
}

// Start starts a server with further arguments and waits until it answers. It
// keeps nothing on disk.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := Prepare(t, FreePort(t), args...)
	s.Run()
	return s
}

// Prepare is Start without starting; Run does that.
func Prepare(t testing.TB, port int, args ...string) *Server {
	t.Helper()
	s := &Server{Port: port, t: t, path: Need(t), dir: t.TempDir()}
	s.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--loglevel", "warning", "--enable-debug-command", "local",
	}, args...)
	t.Cleanup(s.Kill)
	return s
}

// Sentinel starts a sentinel that watches a master under the name "mymaster".
func Sentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	s := &Server{Port: FreePort(t), t: t, path: Need(t), dir: t.TempDir()}
	file := s.dir + "/sentinel.conf"
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n", s.Port, master.Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file, "--sentinel"}
	t.Cleanup(s.Kill)
	s.Run()
	return s
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// Run starts the server, also again, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	s.out.Reset()
	s.cmd = exec.Command(s.path, s.args...) //nolint:noctx // it is ended by Kill
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(startTime)
	for {
		_, err := s.try("PING")
		var answer *answerError
		if err == nil || errors.As(err, &answer) { // one that wants a password runs, too
			return
		}
		if time.Now().After(deadline) {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
			s.t.Fatalf("redis-server %s does not answer: %v\n%s", strings.Join(s.args, " "), err, s.out.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Stop makes the server hang: it accepts connections and does nothing.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue makes a server that was stopped go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Do sends a command on a connection of its own and returns the answer: a
// string, an int64, nil, or a []any of these.
func (s *Server) Do(args ...string) any {
	s.t.Helper()
	v, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%s: %v", args[0], err)
	}
	return v
}

// Auth is Do with a password for the default user.
func (s *Server) Auth(password string, args ...string) any {
	s.t.Helper()
	v, err := s.send([]string{"AUTH", password}, args)
	if err != nil {
		s.t.Fatalf("%s: %v", args[0], err)
	}
	return v
}

// Text is Do for an answer that is text.
func (s *Server) Text(args ...string) string {
	s.t.Helper()
	text, _ := s.Do(args...).(string)
	return text
}

// Texts is Do for an answer that is a list of texts.
func (s *Server) Texts(args ...string) []string {
	s.t.Helper()
	list, _ := s.Do(args...).([]any)
	texts := make([]string, len(list))
	for i := range list {
		texts[i], _ = list[i].(string)
	}
	return texts
}

func (s *Server) try(args ...string) (any, error) { return s.send(args) }

// send sends commands and returns the last answer.
func (s *Server) send(commands ...[]string) (answer any, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(startTime))
	r := bufio.NewReader(conn)
	for _, args := range commands {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
		}
		if _, err := io.WriteString(conn, b.String()); err != nil {
			return nil, err
		}
		if answer, err = read(r); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// answerError is an error that the server answered.
type answerError struct{ text string }

func (e *answerError) Error() string { return e.text }

func read(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, io.ErrUnexpectedEOF
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return nil, &answerError{line[1:]}
	case ':':
		return int64(n), nil
	case '$':
		if n < 0 {
			return nil, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case '*':
		list := make([]any, max(0, n))
		for i := range list {
			if list[i], err = read(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("an answer that is none: %q", line)
}
