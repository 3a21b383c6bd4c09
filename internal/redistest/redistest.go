// Package redistest starts real Redis servers for tests, on free loopback
// ports, and ends what it started.
package redistest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// required is the variable that makes a missing redis-server a failure.
const required = "CADDY_HUMA_REDIS"

// Need skips the test on a machine without redis-server, which is told where
// go test was typed; with CADDY_HUMA_REDIS=1 the test fails.
func Need(t testing.TB) {
	t.Helper()
	_, err := redisserver.Path()
	switch {
	case err == nil:
	case os.Getenv(required) == "1":
		t.Fatalf("%v, and %s=1 requires it", err, required)
	default:
		warnSkipped()
		t.Skip(err)
	}
}

// FreePort is a port that nobody listened on a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeport.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Server is a redisserver.Server whose errors fail the test.
type Server struct {
	*redisserver.Server
	t testing.TB
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
	Need(t)
	return wrap(t)(redisserver.New(t.TempDir(), port, args...))
}

// Sentinel starts a sentinel that watches a master under the name "mymaster".
func Sentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	Need(t)
	s := wrap(t)(redisserver.NewSentinel(t.TempDir(), FreePort(t), master.Server))
	s.Run()
	return s
}

// wrap takes a new server over.
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

// Run starts the server, also again, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	s.check("start", s.Server.Run(s.t.Context()))
}

// Stop makes the server hang: it accepts connections and does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	s.check("stop", s.Server.Stop())
}

// Continue makes a server that was stopped go on.
func (s *Server) Continue() {
	s.t.Helper()
	s.check("continue", s.Server.Continue())
}

func (s *Server) check(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// Do sends a command on a connection of its own and returns the answer: a
// string, an int64, nil, or a []any of these.
func (s *Server) Do(args ...string) any {
	s.t.Helper()
	v, err := s.Server.Do(s.t.Context(), args...)
	s.check(args[0], err)
	return v
}

// Auth is Do with a password for the default user.
func (s *Server) Auth(password string, args ...string) any {
	s.t.Helper()
	v, err := s.Server.Auth(s.t.Context(), password, args...)
	s.check(args[0], err)
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

// CommandCalls is how often the server was sent a command, by its name in lower case.
func (s *Server) CommandCalls(command string) (n int) {
	s.t.Helper()
	_, stats, _ := strings.Cut(s.Text("INFO", "commandstats"), "cmdstat_"+command+":calls=")
	_, _ = fmt.Sscanf(stats, "%d", &n) // of a command that nobody sent there is nothing
	return n
}
