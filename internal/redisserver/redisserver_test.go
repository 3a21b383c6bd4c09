package redisserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/internal/redisserver"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a server and kills it at the end of the test.
func start(t *testing.T, args ...string) *redisserver.Server {
	t.Helper()
	redistest.Need(t)
	s, err := redisserver.Start(t.Context(), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// TestKillAndStop kills, restarts, pauses and resumes a server.
func TestKillAndStop(t *testing.T) {
	s := start(t)
	do := func(within time.Duration, args ...string) (any, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return s.Do(ctx, args...)
	}
	if v, err := do(5*time.Second, "SET", "a", "1"); v != "OK" || err != nil {
		t.Errorf("SET: %v %v", v, err)
	}
	first := s.PID()
	s.Kill()
	s.Kill()
	if v, err := do(5*time.Second, "PING"); err == nil {
		t.Errorf("killed: %v", v)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PID() == first {
		t.Errorf("the process id is %d before and after the restart", first)
	}
	if v, err := do(5*time.Second, "GET", "a"); v != nil || err != nil {
		t.Errorf("data after the restart: %v %v", v, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if v, err := do(100*time.Millisecond, "PING"); err == nil {
		t.Errorf("stopped: %v", v)
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	if v, err := do(5*time.Second, "PING"); v != "PONG" || err != nil {
		t.Errorf("continued: %v %v", v, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Kill() // of a paused server
}

// TestReplies checks the Go values of replies.
func TestReplies(t *testing.T) {
	s := start(t, "--requirepass", "right")
	if v, err := s.Do(t.Context(), "PING"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("without the password: %v %v", v, err)
	}
	v, err := s.Auth(t.Context(), "right", "EVAL", "return {1, 'two', {'three'}}", "0")
	if list, ok := v.([]any); err != nil || !ok || len(list) != 3 || list[0] != int64(1) || list[1] != "two" {
		t.Errorf("a list: %v %v", v, err)
	}
}

// TestStartErrors checks an unknown argument, a port that is in use, and that redis-server
// is not installed.
func TestStartErrors(t *testing.T) {
	redistest.Need(t)
	if _, err := redisserver.Start(t.Context(), t.TempDir(), "--no-such-option", "1"); err == nil ||
		!strings.Contains(err.Error(), "redis-server exited") || !strings.Contains(err.Error(), "'no-such-option \"1\"'") {
		t.Errorf("an unknown argument: %v", err)
	}
	first := start(t)
	second, err := redisserver.New(t.TempDir(), first.Port)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another server responds") && !strings.Contains(err.Error(), "redis-server exited") {
		t.Errorf("a port that is in use: %v", err)
	}
	t.Setenv("PATH", "")
	if _, err := redisserver.Start(t.Context(), t.TempDir()); !errors.Is(err, redisserver.ErrMissing) {
		t.Errorf("not installed: %v", err)
	}
}
