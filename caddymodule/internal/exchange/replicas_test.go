package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestReplicasShareATokenAndARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		if r := a.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeSignedIn {
			t.Fatalf("got %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || callOf(r) != 1 || b.calls.Load() != 0 {
			t.Errorf("the other replica got %+v after %d calls", r, b.calls.Load())
		}
		before := s.gets.Load()
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || s.gets.Load() != before {
			t.Errorf("a hit in memory read the store: %+v", r)
		}

		if puts := s.puts.Load(); puts != 1 || s.notified.Load() != 0 {
			t.Errorf("%d puts, and all were notified %d times", puts, s.notified.Load())
		}

		refuse := func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		a.exchange, b.exchange = refuse, refuse
		a.get(t.Context(), "mallory", "ios", false)
		if r := b.get(t.Context(), "mallory", "ios", false); code(r) != CodeRefused || b.calls.Load() != 0 {
			t.Errorf("the other replica got %+v after %d calls", r, b.calls.Load())
		}
		down := func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeUnavailable} }
		a.exchange = down
		puts := s.puts.Load()
		a.get(t.Context(), "bob", "ios", false)
		if s.puts.Load() != puts {
			t.Error("an outage was put into the store")
		}
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) { return token(call), OutcomeSignedIn, nil }
		if r := b.get(t.Context(), "bob", "ios", false); r.Outcome != OutcomeSignedIn {
			t.Errorf("an outage was shared: %+v", r)
		}
	})
}

// TestC13_EvictedAtAnotherReplica checks that the result of an exchange that runs at
// another replica is not stored, neither in the store nor in memory.
func TestC13_EvictedAtAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		b := s.replica()
		s.replicas = nil // no replica is notified: the store alone has to prevent it
		done := make(chan Result)
		go func() { done <- b.get(t.Context(), "u", "ios", false) }()
		time.Sleep(500 * time.Millisecond)
		if err := s.Evict(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		if r := <-done; callOf(r) != 1 {
			t.Errorf("the request that ran got %+v", r)
		}
		if _, kept := b.policy.Cache.Get("u", "ios", time.Now()); kept {
			t.Error("the replica that fetched the token has cached it in memory")
		}
		if _, kept := s.mapStore.Get("u", "ios", time.Now()); kept {
			t.Error("the store has the token")
		}
	})
}

// TestReplicasWithoutTheStore checks that no token depends on the store.
func TestReplicasWithoutTheStore(t *testing.T) {
	for name, breaks := range map[string]func(*sharedStore){
		"down":   func(s *sharedStore) { s.down.Store(true) },
		"panics": func(s *sharedStore) { s.panics.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				a := s.replica()
				breaks(s)
				if r := a.get(t.Context(), "u", "ios", false); callOf(r) != 1 {
					t.Errorf("got %+v", r)
				}
				if r := a.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit {
					t.Errorf("the token was not cached in memory: %+v", r)
				}
				if r := a.get(t.Context(), "u", "ios", true); callOf(r) != 2 {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// TestReplicasRefusalsAge checks that a refusal from the store is as old as it was
// there.
func TestReplicasRefusalsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.exchange = func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		a.get(t.Context(), "u", "ios", false)
		time.Sleep(3 * time.Second)
		if r := b.get(t.Context(), "u", "ios", false); code(r) != CodeRefused {
			t.Fatalf("got %+v", r)
		}
		time.Sleep(3 * time.Second) // 6 s after the refusal: negative_ttl has passed
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeSignedIn {
			t.Errorf("after negative_ttl it got %+v", r)
		}
	})
}

// TestC13_EvictedDuringLookup checks that a record found in the store during an
// eviction is not used.
func TestC13_EvictedDuringLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.get(t.Context(), "u", "ios", false)
		b.calls.Store(100)
		s.latency = time.Second
		time.AfterFunc(500*time.Millisecond, func() { b.Evict("u") })
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 101 {
			t.Errorf("got %d, want another one", callOf(r))
		}
		time.Sleep(time.Minute)
	})
}

// TestStoredTokensExpire checks that no replica uses a token for longer than the replica
// that fetched it may cache it.
func TestStoredTokensExpire(t *testing.T) {
	refused := &Error{Code: CodeRefused}
	for _, test := range []struct {
		name     string
		life     time.Duration
		err      error
		from, to time.Duration // after the call
	}{
		{"ttl", time.Hour, nil, 59 * time.Second, 61 * time.Second},
		{"near its end", 40 * time.Second, nil, 35 * time.Second, 37 * time.Second}, // less a tenth
		{"a refusal", 0, refused, 4 * time.Second, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				a := s.replica()
				a.exchange = func(context.Context, int64) (*Token, Outcome, error) {
					if test.err != nil {
						return nil, "", test.err
					}
					return NewToken(time.Now()).Text("authToken", "1").Lifetime("expiresIn", test.life).Token(), OutcomeSignedIn, nil
				}
				a.get(t.Context(), "u", "ios", false)
				time.Sleep(test.from)
				if _, kept := s.mapStore.Get("u", "ios", time.Now()); !kept {
					t.Errorf("it is gone after %s", test.from)
				}
				time.Sleep(test.to - test.from)
				if _, kept := s.mapStore.Get("u", "ios", time.Now()); kept {
					t.Errorf("it is there after %s", test.to)
				}
			})
		})
	}
}
