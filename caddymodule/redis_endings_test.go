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

// cancelDuringSignUp asks for the first token of a user, and leaves while the
// sign-up runs.
func cancelDuringSignUp(t *testing.T, s *site, r *redistest.Server, fake *fakeHuma) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan struct{})
	go func() {
		defer close(left)
		if _, err := s.tryRequest(ctx, "GET", iosPath, as("new@x.example")); err == nil {
			t.Error("the caller did not leave")
		}
	}()
	eventually(t, redisTimeout, "the sign-up runs", func() bool {
		held, _ := fake.blocked()
		return len(lockValues(r)) == 1 && held+fake.Calls().InFlight == 1
	})
	leave()
	<-left
}

// checkSignUpFinished checks that a sign-up that was under way has been told of, and that
// its token is there for the others.
func checkSignUpFinished(t *testing.T, r *redistest.Server) {
	t.Helper()
	const exists = "done"
	eventually(t, redisTimeout, "the user's lock says that they exist", func() bool {
		all := lockValues(r)
		return len(all) == 1 && all[0] == exists
	})
	eventually(t, redisTimeout, "the token is in the store", func() bool { return len(tokenKeys(r)) == 1 })
}

// TestRedis_SignUpsAreToldOfAfterAReload: the store stays open for an exchange
// that began with it, whatever becomes of the config, and no longer.
func TestRedis_SignUpsAreToldOfAfterAReload(t *testing.T) {
	for _, test := range []struct {
		name string
		next func(fake *fakeHuma, r *redistest.Server) string
		// listeners are the connections for messages of the next config.
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
			letGo := fake.block(t, sandbox.OpSignUp)
			cancelDuringSignUp(t, s, r, fake)
			must(t, s.load(test.next(fake, r)))
			if held, _ := fake.blocked(); held != 1 {
				t.Error("the sign-up has ended with the config")
			}
			letGo()
			checkSignUpFinished(t, r)
			eventually(t, redisTimeout, "the connections of before are closed", func() bool {
				return strings.Count(r.Text("CLIENT", "LIST"), "cmd=subscribe") == test.listeners
			})
		})
	}
}

// TestRedis_SignUpsAreToldOfWhenTheProcessEnds: on SIGTERM.
func TestRedis_SignUpsAreToldOfWhenTheProcessEnds(t *testing.T) {
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
