package login

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// TestWaitingForAnotherReplica checks that a replica that waits for another one's
// sign-up continues as soon as it has ended, according to its result.
func TestWaitingForAnotherReplica(t *testing.T) {
	for _, test := range []struct {
		name  string
		ends  func(t *testing.T, s *sharedStore, h *registry, lock exchange.SignUpLock)
		want  exchange.Code
		retry time.Duration
		made  int // sign-ups of the replica that waited
		ins   int
	}{
		{name: "with a token", ins: 1, ends: func(t *testing.T, s *sharedStore, _ *registry, _ exchange.SignUpLock) {
			s.put("u", exchange.Record{Token: token(7), Until: time.Now().Add(time.Minute)})
		}},
		{name: "with a user, and no token", ins: 2, ends: func(t *testing.T, s *sharedStore, h *registry, l exchange.SignUpLock) {
			h.know("")
			release(t, s, l, exchange.SignUpEnd{Exists: true})
		}},
		{name: "with a user who cannot sign in", want: exchange.CodeRefused, ins: 2, ends: func(t *testing.T, s *sharedStore, _ *registry, l exchange.SignUpLock) {
			release(t, s, l, exchange.SignUpEnd{Exists: true})
		}},
		{name: "with a user, and the service refuses us", want: exchange.CodeConfig, ins: 2, ends: func(t *testing.T, s *sharedStore, h *registry, l exchange.SignUpLock) {
			h.down = &exchange.StatusError{Op: exchange.OpSignIn, Status: 401}
			release(t, s, l, exchange.SignUpEnd{Exists: true})
		}},
		{name: "with nothing", made: 1, ins: 1, ends: func(t *testing.T, s *sharedStore, _ *registry, l exchange.SignUpLock) {
			release(t, s, l, exchange.SignUpEnd{})
		}},
		{name: "unclear", want: exchange.CodeUnavailable, retry: holdRetry, ins: 2, ends: func(t *testing.T, s *sharedStore, _ *registry, l exchange.SignUpLock) {
			release(t, s, l, exchange.SignUpEnd{Hold: time.Second})
		}},
		{name: "unclear, and the user is there", ins: 2, ends: func(t *testing.T, s *sharedStore, h *registry, l exchange.SignUpLock) {
			h.know("")
			release(t, s, l, exchange.SignUpEnd{Hold: time.Minute})
		}},
		{name: "the store goes down", want: exchange.CodeUnavailable, ins: 2, ends: func(_ *testing.T, s *sharedStore, _ *registry, _ exchange.SignUpLock) {
			s.down.Store(true)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, h := newSharedStore(), &registry{}
				theirs, err := s.Lock(t.Context(), "u", time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Second, func() { test.ends(t, s, h, theirs) })
				start := time.Now()
				r := s.signUp(t, s.replica(), h)
				if code(r.Err) != test.want || (r.Err == nil) != (test.want == "") {
					t.Errorf("got %+v, want %q", r, test.want)
				}
				if h.made != test.made || len(h.signIns) != test.ins {
					t.Errorf("%d sign-ups and %d sign-ins, want %d and %d", h.made, len(h.signIns), test.made, test.ins)
				}
				if d := time.Since(start); d < time.Second || d > 1500*time.Millisecond {
					t.Errorf("it took %s", d)
				}
				if test.retry > 0 {
					wantRetry(t, r, test.retry)
				}
			})
		})
	}
}

func release(t *testing.T, s *sharedStore, l exchange.SignUpLock, end exchange.SignUpEnd) {
	if err := s.Release(t.Context(), "u", l, end, time.Minute); err != nil {
		t.Error(err)
	}
}

// putsThenTells is a store in which another replica stores its token and releases its
// lock, between two of our operations.
type putsThenTells struct{ *sharedStore }

func (s putsThenTells) Peek(ctx context.Context, u exchange.UserKey) (exchange.SignUpLock, error) {
	s.put(u, exchange.Record{Token: token(7), Until: time.Now().Add(time.Minute)})
	s.locks[u] = lockUntil{exchange.SignUpLock{State: exchange.SignUpDone}, time.Now().Add(time.Minute)}
	return s.sharedStore.Peek(ctx, u)
}

// TestTheTokenIsFoundWithTheEnd checks that a replica that sees the end of the sign-up
// finds the token, without a sign-in.
func TestTheTokenIsFoundWithTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		if _, err := s.Lock(t.Context(), "u", time.Minute); err != nil {
			t.Fatal(err)
		}
		b := s.replica()
		r := b.coordinator(putsThenTells{s})
		if turn := r.take(t.Context()); turn.token == nil || turn.acquired {
			t.Errorf("turn %+v, want a token", turn)
		}
	})
}

// TestWaitingEndsWithTheExchange also tests an exchange without a deadline.
func TestWaitingEndsWithTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		if _, err := s.Lock(t.Context(), "u", time.Minute); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("over")) })
		start := time.Now()
		r := &Coordinator{Locks: s, User: "u", Timeout: time.Hour, Stored: func(context.Context) *exchange.Token { return nil }}
		if turn := r.take(ctx); turn.acquired {
			t.Error("the sign-up is another one's")
		}
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("it took %s", d)
		}
	})
}
