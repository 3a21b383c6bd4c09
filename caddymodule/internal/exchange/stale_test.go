package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// longToken returns a token that may be cached for hours.
func longToken(_ context.Context, call int64) (*Token, Outcome, error) {
	return NewToken(time.Now()).Text("n", string(rune('0'+call))).Lifetime("expiresIn", 8*time.Hour).Token(), OutcomeSignedIn, nil
}

// TestStale checks that a record in memory is returned for maxStale without a lookup in
// the store, and after that only if the store has it.
func TestStale(t *testing.T) {
	refuse := func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
	reject := func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeRejected} }
	for _, test := range []struct {
		name    string
		run     func(context.Context, int64) (*Token, Outcome, error) // nil: returns a token
		happens func(s *sharedStore, r *replica)                      // after the replica has the token
		after   time.Duration
		gets    int64 // lookups of the next request
		calls   int64
	}{
		{name: "young", after: maxStale - time.Second},
		{name: "young, and evicted elsewhere without a word", after: maxStale - time.Second, happens: func(s *sharedStore, _ *replica) { s.evictSilently("u") }},
		{name: "old", after: maxStale, gets: 1},
		{name: "old, and evicted elsewhere without a word", after: maxStale, gets: 1, calls: 1, happens: func(s *sharedStore, _ *replica) { s.evictSilently("u") }},
		{name: "old, and the store has lost everything", after: maxStale, gets: 1, calls: 1, happens: func(s *sharedStore, _ *replica) { s.deleteAll() }},
		{name: "old, and the store is down", after: time.Hour, happens: func(s *sharedStore, _ *replica) { s.down.Store(true) }},
		{name: "old, and the store does not respond", after: time.Hour, gets: 1, happens: func(s *sharedStore, _ *replica) { s.noResponse.Store(true) }},
		{name: "old, and there are no other replicas any more", after: time.Hour, happens: func(_ *sharedStore, r *replica) { r.policy.Shared = nil }},
		{name: "another replica has a newer one", after: maxStale, gets: 1, happens: func(s *sharedStore, _ *replica) {
			s.mapStore.Put("u", "ios", Record{Token: token(7), Until: time.Now().Add(time.Hour)})
		}},
		{name: "an old refusal", run: refuse, after: maxStale, gets: 1},
		{name: "an old refusal, and the store has lost everything", run: refuse, after: maxStale, gets: 1, calls: 1, happens: func(s *sharedStore, _ *replica) { s.deleteAll() }},
		{name: "an old rejection, which no store has", run: reject, after: maxStale},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				r := s.replica()
				r.policy.TTL, r.policy.NegativeTTL = 2*time.Hour, 2*time.Hour
				if r.exchange = test.run; test.run == nil {
					r.exchange = longToken
				}
				first := r.get(t.Context(), "u", "ios", false)
				if test.happens != nil {
					test.happens(s, r)
				}
				time.Sleep(test.after)
				gets, calls := s.gets.Load(), r.calls.Load()
				got := r.get(t.Context(), "u", "ios", false)
				if s.gets.Load()-gets != test.gets || r.calls.Load()-calls != test.calls || code(got) != code(first) {
					t.Errorf("got %+v with %d lookups in the store and %d calls", got, s.gets.Load()-gets, r.calls.Load()-calls)
				}
				if s.noResponse.Load() {
					return // it is looked up again next time
				}
				gets = s.gets.Load()
				if got := r.get(t.Context(), "u", "ios", false); code(got) != code(first) || s.gets.Load() != gets {
					t.Errorf("the next request got %+v and read the store", got)
				}
			})
		})
	}
}

// TestStaleTokenMissingInStore checks that a token that the store no longer has is not returned when
// the store goes down, even if no other token could be obtained.
func TestStaleTokenMissingInStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		r := s.replica()
		r.policy.TTL = time.Hour
		r.exchange = longToken
		r.get(t.Context(), "u", "ios", false)
		s.evictSilently("u")
		time.Sleep(maxStale)
		r.exchange = func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeUnavailable} }
		for _, down := range []bool{false, true} {
			s.down.Store(down)
			if got := r.get(t.Context(), "u", "ios", false); code(got) != CodeUnavailable {
				t.Errorf("down %v: got %+v", down, got)
			}
		}
	})
}

// TestANewerTokenStays checks that an older token in the store does not replace a newer
// one that could not be written to the store.
func TestANewerTokenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		r := s.replica()
		r.policy.TTL = time.Hour
		r.exchange = longToken
		r.get(t.Context(), "u", "ios", false)
		s.down.Store(true)
		time.Sleep(time.Second)
		r.get(t.Context(), "u", "ios", true) // no-cache: the previous token was refused
		s.down.Store(false)
		time.Sleep(2 * maxStale)
		if got := r.get(t.Context(), "u", "ios", false); got.Err != nil || r.calls.Load() != 3 {
			t.Errorf("got %+v after %d calls, want the third", got, r.calls.Load())
		}
	})
}

// TestWaitingRequestsShareOneLookup checks that many requests of a user whose token is stale
// make one lookup in the store.
func TestWaitingRequestsShareOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		r := s.replica()
		r.policy.TTL = time.Hour
		r.exchange = longToken
		r.get(t.Context(), "u", "ios", false)
		time.Sleep(maxStale)
		gets := s.gets.Load()
		done := make(chan Result)
		for range 100 {
			go func() { done <- r.get(t.Context(), "u", "ios", false) }()
		}
		for range 100 {
			if got := <-done; got.Err != nil {
				t.Errorf("got %+v", got)
			}
		}
		if n := s.gets.Load() - gets; n != 1 || r.calls.Load() != 1 {
			t.Errorf("%d lookups and %d calls, want 1 and no more calls", n, r.calls.Load()-1)
		}
	})
}

// TestEvictedHere checks that a token from before an eviction is not read again from a
// store that did not get the eviction, or has lost it.
func TestEvictedHere(t *testing.T) {
	for _, test := range []struct {
		name  string
		down  bool          // while the user is evicted
		token time.Duration // how long before the eviction the token was issued, by the other replica's clock
		after time.Duration
		want  int64 // calls for the next request
	}{
		{name: "it was down", down: true, token: time.Second, want: 1},
		{name: "it was down, and the other's clock is ahead", down: true, token: -maxSkew + time.Second, want: 1},
		{name: "it was down, a quarter of an hour ago", down: true, after: EvictedFor, want: 1},
		{name: "it has lost the eviction", token: time.Second, want: 1},
		{name: "it was down, a day ago", down: true, token: 25 * time.Hour, after: 24 * time.Hour, want: 1},
		{name: "a token of a moment later"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				r := s.replica()
				r.policy.TTL = 48 * time.Hour
				r.exchange = longToken
				if test.down {
					s.down.Store(true)
				}
				if err := r.EvictEverywhere(t.Context(), "u", s, false); (err != nil) != test.down {
					t.Fatal(err)
				}
				s.down.Store(false)
				time.Sleep(test.after + 10*s.latency) // until all replicas are notified
				other := NewToken(time.Now().Add(-test.token)).Text("n", "7").Lifetime("expiresIn", 72*time.Hour).Token()
				s.mapStore.Put("u", "ios", Record{Token: other, Until: time.Now().Add(time.Hour)})
				want := test.want
				if test.after > test.token && test.after > 0 {
					want = 0 // the token was issued after the eviction
				}
				if got := r.get(t.Context(), "u", "ios", false); got.Err != nil || r.calls.Load() != want {
					t.Errorf("got %+v with %d calls, want %d", got, r.calls.Load(), want)
				}
				if got := r.get(t.Context(), "u", "ios", false); got.Outcome != OutcomeHit || r.calls.Load() != want {
					t.Errorf("then got %+v with %d calls", got, r.calls.Load())
				}
			})
		})
	}
}

// TestEvictionsAreBounded also tests that entries expire.
func TestEvictionsAreBounded(t *testing.T) {
	e, now := make(evictions), time.Now()
	for i := range maxEvictions + 10 {
		e.add(UserKey(string(rune(i))), false, now)
	}
	if len(e) > maxEvictions {
		t.Errorf("%d evictions are stored", len(e))
	}
	later := now.Add(EvictedFor + time.Second)
	for i := range maxEvictions {
		e.add(UserKey("later"+string(rune(i%100))), false, later)
	}
	if len(e) > 100 {
		t.Errorf("%d evictions are stored after their lifetime", len(e))
	}
}
