package caddymodule_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// lockValues returns the values of all sign-up locks in Redis.
func lockValues(r *redistest.Server) (all []string) {
	for _, key := range r.Texts("KEYS", "caddy-huma:s:*") {
		all = append(all, r.Text("GET", key))
	}
	return all
}

// cancelDuringSignUp requests the first token of a user and cancels the request while the
// sign-up runs.
func cancelDuringSignUp(t *testing.T, s *site, r *redistest.Server, fake *fakeHuma) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := s.tryRequest(ctx, "GET", iosPath, as("new@x.example")); err == nil {
			t.Error("the request was not canceled")
		}
	}()
	eventually(t, redisTimeout, "the sign-up runs", func() bool {
		running, _ := fake.blocked()
		return len(lockValues(r)) == 1 && running+fake.Calls().InFlight == 1
	})
	cancel()
	<-done
}

// checkSignUpFinished checks that the result of a running sign-up was written to the
// lock, and that its token is in the store.
func checkSignUpFinished(t *testing.T, r *redistest.Server) {
	t.Helper()
	const exists = "done"
	eventually(t, redisTimeout, "the user's lock says that the user exists", func() bool {
		all := lockValues(r)
		return len(all) == 1 && all[0] == exists
	})
	eventually(t, redisTimeout, "the token is in the store", func() bool { return len(tokenKeys(r)) == 1 })
}

// TestRedis_SignUpEndsAfterReload checks that the store stays open until an exchange has
// ended that began before a reload, and no longer.
func TestRedis_SignUpEndsAfterReload(t *testing.T) {
	for _, test := range []struct {
		name string
		next func(fake *fakeHuma, r *redistest.Server) string
		// listeners is the number of subscribed connections of the next config.
		listeners int
	}{
		{"redis is changed", func(fake *fakeHuma, r *redistest.Server) string {
			return simpleSite(fake, withRedis(r, "1m", "timeout 2s"))
		}, 1},
		{"redis is removed", func(fake *fakeHuma, _ *redistest.Server) string { return simpleSite(fake, "cache 1m") }, 0},
		{"the directive is removed", func(*fakeHuma, *redistest.Server) string { return "SITE {\nrespond ok\n}" }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := redistest.Start(t)
			fake := newHuma(t, sandbox.Config{})
			s := serve(t, simpleSite(fake, withRedis(r, "1m", "timeout 1s")))
			s.waitShared(1)
			release := fake.block(t, sandbox.OpSignUp)
			cancelDuringSignUp(t, s, r, fake)
			must(t, s.load(test.next(fake, r)))
			if running, _ := fake.blocked(); running != 1 {
				t.Error("the sign-up was canceled by the reload")
			}
			release()
			checkSignUpFinished(t, r)
			eventually(t, redisTimeout, "the previous connections are closed", func() bool {
				return strings.Count(r.Text("CLIENT", "LIST"), "cmd=subscribe") == test.listeners
			})
		})
	}
}

// TestRedis_SignUpEndsAfterSIGTERM checks that the process finishes a running sign-up.
func TestRedis_SignUpEndsAfterSIGTERM(t *testing.T) {
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	must(t, fake.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignUp, Delay: time.Second}}))
	s := serve(t, "") // for its address and its log file
	process := s.startProcess(simpleSite(fake, withRedis(r, "1m", "timeout 1s")))
	s.waitShared(1)
	cancelDuringSignUp(t, s, r, fake)
	must(t, process.Process.Signal(syscall.SIGTERM))
	if err := process.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
	checkSignUpFinished(t, r)
}
