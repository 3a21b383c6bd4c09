package exchange

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestCached checks that Cached distinguishes cache hits from exchanges, also from an
// exchange that found the token in the shared store.
func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		refusal := &Error{Code: CodeRefused}
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
			if call == 3 {
				return nil, "", refusal
			}
			return token(call), OutcomeSignedIn, nil
		}
		for _, c := range []struct {
			user  UserKey
			fresh bool
			kept  bool
		}{
			{"u", false, false},
			{"u", false, true},
			{"u", true, false},
			{"u", true, true},
			{"refused", false, false},
			{"refused", false, true},
		} {
			if r := b.get(t.Context(), c.user, "ios", c.fresh); r.Cached != c.kept {
				t.Errorf("%+v: %+v", c, r)
			}
		}
		b.policy.Cache = nil
		if r := b.get(t.Context(), "u", "ios", false); r.Cached {
			t.Errorf("without a cache: %+v", r)
		}
	})
}

// TestCachedElsewhere checks that the token of another replica is not a cache hit.
func TestCachedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSharedStore()
		here, there := store.replica(), store.replica()
		there.get(t.Context(), "u", "ios", false)
		for _, kept := range []bool{false, true} {
			if r := here.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || r.Cached != kept {
				t.Errorf("%+v, want cached %v", r, kept)
			}
		}
	})
}
