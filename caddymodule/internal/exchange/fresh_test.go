package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestFreshIsCountedFromTheFirst checks that requests that join do not extend freshFor.
func TestFreshIsCountedFromTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
			time.Sleep(3 * time.Second)
			return token(call), OutcomeSignedIn, nil
		}
		go b.get(t.Context(), "u", "ios", true)
		time.Sleep(2 * time.Second)
		b.get(t.Context(), "u", "ios", true)
		time.Sleep(3 * time.Second) // 6 s after the first
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 2 {
			t.Errorf("got %d, want another one", callOf(r))
		}
	})
}

// TestReplicasFreshTokens checks that a no-cache request at one replica evicts the
// token at all replicas.
func TestReplicasFreshTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.get(t.Context(), "u", "ios", false)
		b.get(t.Context(), "u", "ios", false)
		b.calls.Store(100)
		if r := a.get(t.Context(), "u", "ios", true); callOf(r) != 2 || r.Outcome != OutcomeSignedIn {
			t.Fatalf("got %+v", r)
		}
		time.Sleep(10 * time.Millisecond) // the message is delivered
		if n := s.notified.Load(); n != 1 {
			t.Errorf("all were notified %d times, want 1", n)
		}
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
			t.Errorf("the other replica returns the evicted token: %d", callOf(r))
		}
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 101 {
			t.Errorf("a fresh one at the other replica: got %d, want one that this one has fetched", callOf(r))
		}
		gets := s.gets.Load()
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 101 || s.gets.Load() != gets {
			t.Errorf("the second in 5 s got %d with %d lookups in the store", callOf(r), s.gets.Load()-gets)
		}
	})
}

// TestReplicasFreshDuringLookup checks that a request with Fresh does not get the
// previous token that another request finds in the shared store at the same time.
func TestReplicasFreshDuringLookup(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := newSharedStore()
			a, b := s.replica(), s.replica()
			a.get(t.Context(), "u", "ios", false)
			b.calls.Store(100)
			s.latency = time.Second
			go b.get(t.Context(), "u", "ios", false)
			time.Sleep(after)
			if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 101 {
				t.Errorf("after %s: got %d, want a fresh one", after, callOf(r))
			}
			time.Sleep(time.Minute)
		})
	}
}

// slowReport is an Exchange whose Finished takes a while.
type slowReport struct{ *testEngine }

func (m slowReport) Finished(r Result) {
	time.Sleep(time.Second)
	m.testEngine.Finished(r)
}

// TestReplicasFreshAfterLookup is the case of an exchange that has found the previous
// token in the shared store and has not ended yet.
func TestReplicasFreshAfterLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.get(t.Context(), "u", "ios", false)
		b.calls.Store(100)
		go b.Exchange(t.Context(), &Request{User: "u", Variant: "ios", Source: source{slowReport{b.testEngine}}, Policy: &b.policy})
		time.Sleep(500 * time.Millisecond)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 101 {
			t.Errorf("got %d, want a fresh one", callOf(r))
		}
		time.Sleep(time.Minute)
	})
}

// TestReplicasFreshOutage checks that a no-cache request during an outage of the
// service evicts no token.
func TestReplicasFreshOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.get(t.Context(), "u", "ios", false)
		a.exchange = func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeUnavailable} }
		if r := a.get(t.Context(), "u", "ios", true); code(r) != CodeUnavailable {
			t.Fatalf("got %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 1 || b.calls.Load() != 0 {
			t.Errorf("the other replica got %+v", r)
		}
	})
}
