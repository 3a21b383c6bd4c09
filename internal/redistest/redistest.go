// Package redistest starts real Redis servers for tests on free loopback ports, and kills
// them at the end of the test.
package redistest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// required is the environment variable with which a missing redis-server fails the tests.
const required = "CADDY_HUMA_REDIS"

// Need skips the test if redis-server is not installed. With the environment variable
// CADDY_HUMA_REDIS=1 the test fails instead.
func Need(t testing.TB) {
	t.Helper()
	_, err := redisserver.Path()
	switch {
	case err == nil:
	case os.Getenv(required) == "1":
		t.Fatalf("%v, but %s=1 requires it", err, required)
	default:
		t.Skip(err)
	}
}

// FreePort returns a port on which no process listens.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeport.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Server is a redisserver.Server with methods that fail the test on errors.
type Server struct {
	*redisserver.Server
	t testing.TB
}

// Start starts a server with additional arguments and waits until it is ready. It has no
// persistence.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := Prepare(t, FreePort(t), args...)
	s.Run()
	return s
}

// Prepare returns a server that is not started. Call Run.
func Prepare(t testing.TB, port int, args ...string) *Server {
	t.Helper()
	Need(t)
	return wrap(t)(redisserver.New(t.TempDir(), port, args...))
}

// Sentinel starts a Sentinel that monitors master under the name "mymaster".
func Sentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	Need(t)
	s := wrap(t)(redisserver.NewSentinel(t.TempDir(), FreePort(t), master.Server))
	s.Run()
	return s
}

// wrap returns a function that turns the results of redisserver.New into a Server, which
// is killed at the end of the test.
func wrap(t testing.TB) func(*redisserver.Server, error) *Server {
	return func(s *redisserver.Server, err error) *Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return &Server{Server: s, t: t}
	}
}

// Run starts or restarts the server and waits until it is ready.
func (s *Server) Run() {
	s.t.Helper()
	s.check("start", s.Server.Run(s.t.Context()))
}

// Stop pauses the server: the system still accepts connections, but there are no replies.
func (s *Server) Stop() {
	s.t.Helper()
	s.check("stop", s.Server.Stop())
}

// Continue resumes the server after Stop.
func (s *Server) Continue() {
	s.t.Helper()
	s.check("continue", s.Server.Continue())
}

// check fails the test on an error.
func (s *Server) check(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// Do sends a command on a new connection and returns the reply: a string, an int64,
// nil, or a []any of these.
func (s *Server) Do(args ...string) any {
	s.t.Helper()
	v, err := s.Server.Do(s.t.Context(), args...)
	s.check(args[0], err)
	return v
}

// Auth is Do after AUTH with the password of the default user.
func (s *Server) Auth(password string, args ...string) any {
	s.t.Helper()
	v, err := s.Server.Auth(s.t.Context(), password, args...)
	s.check(args[0], err)
	return v
}

// Text is Do for a reply that is a string. Any other reply is "".
func (s *Server) Text(args ...string) string {
	s.t.Helper()
	text, _ := s.Do(args...).(string)
	return text
}

// Texts is Do for a reply that is an array of strings.
func (s *Server) Texts(args ...string) []string {
	s.t.Helper()
	list, _ := s.Do(args...).([]any)
	texts := make([]string, len(list))
	for i := range list {
		texts[i], _ = list[i].(string)
	}
	return texts
}

// CommandCalls returns how often the server has received a command. The name is in lower
// case.
func (s *Server) CommandCalls(command string) (n int) {
	s.t.Helper()
	_, stats, _ := strings.Cut(s.Text("INFO", "commandstats"), "cmdstat_"+command+":calls=")
	_, _ = fmt.Sscanf(stats, "%d", &n) // without a line for the command n stays 0
	return n
}
