package login

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// registry is a Huma that knows which users have signed up.
type registry struct {
	mu    sync.Mutex
	users map[string]bool
	fails error // of sign-ups; unless it is unclear, they are not processed
	blind bool  // sign-in finds no user
	down  error // of sign-ins

	signIns []time.Time
	made    int // sign-ups that were sent
}

func (h *registry) SignIn(_ context.Context, p Person) (*exchange.Token, error) {
	time.Sleep(20 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signIns = append(h.signIns, time.Now())
	if h.down != nil {
		return nil, h.down
	}
	if h.blind || !h.users[p.Email.Reveal()] {
		return nil, &exchange.StatusError{Op: exchange.OpSignIn, Status: 403}
	}
	return token(int64(len(h.signIns))), nil
}

func (h *registry) SignUp(_ context.Context, p Person) (*exchange.Token, error) {
	time.Sleep(200 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made++
	if h.fails == nil || isUnclear(h.fails) {
		h.know(p.Email.Reveal())
	}
	if h.fails != nil {
		return nil, h.fails
	}
	return token(1000), nil
}

func (h *registry) SignConsent(context.Context, Person) error { return nil }

// know adds a user.
func (h *registry) know(email string) {
	if h.users == nil {
		h.users = make(map[string]bool)
	}
	h.users[email] = true
}

// TestR04_TheReplicaDies is about a replica that dies after it has sent the sign-up.
// The others wait for half of the exchange's timeout, and sign in.
func TestR04_TheReplicaDies(t *testing.T) {
	for name, created := range map[string]bool{"the user exists": true, "the user does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, h, start := newSharedStore(), &registry{}, time.Now()
				b := s.replica()
				if _, err := s.Lock(t.Context(), "u", time.Minute); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(4*time.Second, func() {
					h.mu.Lock()
					defer h.mu.Unlock()
					if created {
						h.know("")
					}
				})
				r := s.signUp(t, b, h)
				if created && r.Outcome != exchange.OutcomeSignedIn || !created && code(r.Err) != exchange.CodeUnavailable {
					t.Errorf("got %+v", r)
				}
				if h.made != 0 {
					t.Error("a second sign-up")
				}
				if n := len(h.signIns); n != 2 || h.signIns[1].Sub(start).Round(time.Second) != b.policy.Timeout/2 {
					t.Errorf("sign-ins at %v", h.signIns)
				}
				if s.find("u").State != exchange.SignUpRunning {
					t.Error("a waiting request has deleted the lock")
				}
			})
		})
	}
}

func TestSignUpsOfReplicas(t *testing.T) {
	reset := &exchange.TransportError{Op: exchange.OpSignUp, Sent: true, Err: errors.New("reset")}
	exists := &exchange.StatusError{Op: exchange.OpSignUp, Status: 400, Code: codeUserExists}
	for _, test := range []struct {
		name      string
		h         *registry
		down      bool
		limited   bool // the rate limit of sign-ups is used up
		want      exchange.Code
		lock      exchange.SignUpState // afterwards
		made, ins int
		held      int // in this process
	}{
		{name: "signed up", h: &registry{}, lock: exchange.SignUpDone, made: 1, ins: 1},
		{name: "the store is down", h: &registry{}, down: true, made: 1, ins: 1},
		{name: "refused", h: &registry{fails: &exchange.StatusError{Op: exchange.OpSignUp, Status: 403}}, want: exchange.CodeRefused, made: 1, ins: 1},
		{name: "too many sign-ups", h: &registry{}, limited: true, want: exchange.CodeRegistrationLimited, ins: 1},
		{name: "an unclear end, and the user is there", h: &registry{fails: reset}, lock: exchange.SignUpDone, made: 1, ins: 2},
		{name: "an unclear end, and they are not", h: &registry{fails: reset, blind: true}, want: exchange.CodeUnavailable, lock: exchange.SignUpHeld, made: 1, ins: 2, held: 1},
		{name: "the user exists, and is refused", h: &registry{fails: exists}, want: exchange.CodeRefused, lock: exchange.SignUpDone, made: 1, ins: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				s.down.Store(test.down)
				a := s.replica()
				a.registration.Allow = func() bool { return !test.limited }
				r := s.signUp(t, a, test.h)
				if code(r.Err) != test.want {
					t.Errorf("got %+v, want %s", r, test.want)
				}
				if state := s.find("u").State; state != test.lock || test.h.made != test.made || len(test.h.signIns) != test.ins {
					t.Errorf("the lock is %d after %d sign-ups and %d sign-ins", state, test.h.made, len(test.h.signIns))
				}
				if n := a.registrations.Len(); n != test.held {
					t.Errorf("%d users are held in this process", n)
				}
				if test.want == exchange.CodeUnavailable {
					wantRetry(t, r, holdRetry)
				}
			})
		})
	}
}

// wantRetry fails unless the client gets this RetryAfter.
func wantRetry(t *testing.T, r exchange.Result, after time.Duration) {
	t.Helper()
	var e *exchange.Error
	if !errors.As(r.Err, &e) || e.RetryAfter.Round(100*time.Millisecond) != after {
		t.Errorf("got %+v, want to come again after %s", e, after)
	}
}

// TestSignUpsOfAMuteStore checks that a lock is released that the store has set without
// responding.
func TestSignUpsOfAMuteStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newSharedStore(), &registry{fails: &exchange.StatusError{Op: exchange.OpSignUp, Status: 403}}
		s.mute.Store(true)
		if r := s.signUp(t, s.replica(), h); code(r.Err) != exchange.CodeRefused {
			t.Errorf("got %+v", r)
		}
		if state := s.find("u").State; state != exchange.SignUpFree || h.made != 1 {
			t.Errorf("the lock is %d after %d sign-ups", state, h.made)
		}
	})
}

// TestNoSignUpAfterTheLock checks that a process does not send a sign-up if it was
// suspended after it got the lock, and resumes when another replica may have the lock.
func TestNoSignUpAfterTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newSharedStore(), &registry{}
		a := s.replica()
		a.registration.Allow = func() bool { time.Sleep(a.policy.Timeout + time.Millisecond); return true }
		// The exchange has no deadline, because such a process may not notice a
		// deadline, either.
		l := Exchange{Huma: h, Registrations: a.registrations, Registration: a.registration, User: "u", Coordinator: &Coordinator{
			Locks: s, User: "u", Timeout: a.policy.Timeout, Stored: func(context.Context) *exchange.Token { return nil },
		}}
		_, _, err := l.Run(t.Context())
		if code(err) != exchange.CodeTimeout || h.made != 0 {
			t.Errorf("%v after %d sign-ups", err, h.made)
		}
		if state := s.find("u").State; state != exchange.SignUpFree {
			t.Errorf("the lock is %d", state)
		}
	})
}

// TestReplicasHold checks that after an unclear end at one replica only sign-in decides
// at all replicas, until the hold has ended.
func TestReplicasHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newSharedStore(), &registry{blind: true, fails: &exchange.TransportError{Op: exchange.OpSignUp, Sent: true, Timeout: true, Err: context.DeadlineExceeded}}
		a, b := s.replica(), s.replica()
		if r := s.signUp(t, a, h); code(r.Err) != exchange.CodeUnavailable || h.made != 1 {
			t.Fatalf("got %+v after %d sign-ups", r, h.made)
		}
		for _, left := range []time.Duration{59 * time.Second, time.Second} {
			time.Sleep(time.Until(s.locks["u"].until) - left)
			h.signIns = nil
			r := s.signUp(t, b, h)
			if code(r.Err) != exchange.CodeUnavailable || h.made != 1 || len(h.signIns) != 1 {
				t.Errorf("the other replica: %+v after %d sign-ups and %d sign-ins", r, h.made, len(h.signIns))
			}
			wantRetry(t, r, holdRetry)
		}
		time.Sleep(time.Minute)
		if s.signUp(t, b, h); h.made != 2 {
			t.Errorf("after the hold: %d sign-ups, want 2", h.made)
		}
	})
}
