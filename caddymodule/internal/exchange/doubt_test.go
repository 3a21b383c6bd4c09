package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestDoubt: what is in memory when messages may have been missed is looked up
// before it is handed out, and costs no sign-in unless the user was forgotten.
func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens func(s *sharedStore, r *replica) // after the replica has a token
		fresh   bool
		calls   int64 // that the next request makes
	}{
		{name: "nothing", happens: func(*sharedStore, *replica) {}},
		{name: "the store has lost everything", happens: func(s *sharedStore, _ *replica) { s.loses() }},
		{name: "the store is down", happens: func(s *sharedStore, _ *replica) { s.down.Store(true) }},
		{name: "forgotten", calls: 1, happens: func(s *sharedStore, _ *replica) { s.forgets("u") }},
		{name: "long ago", calls: 1, happens: func(s *sharedStore, _ *replica) {
			s.loses()
			time.Sleep(ForgottenFor)
		}},
		{name: "a fresh one is wanted", calls: 1, fresh: true, happens: func(s *sharedStore, _ *replica) { s.loses() }},
		{name: "no other replicas any more", happens: func(s *sharedStore, r *replica) {
			s.loses()
			r.policy.Shared = nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				r := s.replica()
				r.policy.TTL = 2 * ForgottenFor
				r.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) {
					return NewGrant(time.Now()).Text("n", string(rune('0'+call))).Lifetime("expiresIn", 4*ForgottenFor).Grant(), OutcomeSignedIn, nil
				}
				r.get(t.Context(), "u", "ios", false)
				test.happens(s, r)
				r.Doubt()
				before := r.calls.Load()
				if got := r.get(t.Context(), "u", "ios", test.fresh); got.Err != nil || r.calls.Load()-before != test.calls {
					t.Errorf("got %+v with %d calls, want %d", got, r.calls.Load()-before, test.calls)
				}
				if test.fresh || s.down.Load() {
					return
				}
				gets := s.gets.Load()
				if got := r.get(t.Context(), "u", "ios", false); got.Outcome != OutcomeHit || s.gets.Load() != gets {
					t.Errorf("the next one got %+v and asked the store", got)
				}
				if _, found := s.mapStore.Get("u", "ios", time.Now()); !found && r.policy.Shared != nil {
					t.Error("the other replicas do not find it")
				}
			})
		})
	}
}

// TestDoubtLastsUntilItIsLookedUp: a store that is down tells nothing about who
// was forgotten.
func TestDoubtLastsUntilItIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		r := s.replica()
		r.get(t.Context(), "u", "ios", false)
		s.forgets("u")
		r.Doubt()
		s.down.Store(true)
		for range 2 {
			if got := r.get(t.Context(), "u", "ios", false); got.Err != nil || r.calls.Load() != 1 {
				t.Errorf("got %+v after %d calls", got, r.calls.Load())
			}
		}
		s.down.Store(false)
		if got := r.get(t.Context(), "u", "ios", false); got.Err != nil || r.calls.Load() != 2 {
			t.Errorf("got %+v after %d calls: the token of a user who was forgotten", got, r.calls.Load())
		}
	})
}

// TestDoubtOfRefusals: they are short, and asked for again.
func TestDoubtOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		r := s.replica()
		r.mint = func(context.Context, int64) (*Grant, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		r.get(t.Context(), "u", "ios", false)
		s.loses()
		r.Doubt()
		if r.get(t.Context(), "u", "ios", false); r.calls.Load() != 2 {
			t.Errorf("%d calls", r.calls.Load())
		}
	})
}
