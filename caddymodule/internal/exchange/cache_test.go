package exchange

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) { return token(call), OutcomeSignedIn, nil }
		b.get(t.Context(), "u", "ios", false)
		time.Sleep(59 * time.Second)
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 1 {
			t.Errorf("after 59 s: %+v", r)
		}
		b.policy.TTL = 10 * time.Second // a reload has shortened it
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
			t.Errorf("with a shorter ttl: %+v", r)
		}
		time.Sleep(10 * time.Second)
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 3 {
			t.Errorf("after the ttl: %+v", r)
		}
	})
}

// TestFresh checks that a request with Fresh bypasses the cache and never gets the
// previous token, but causes at most one exchange within 5 s.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.get(t.Context(), "u", "ios", false)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 2 {
			t.Fatalf("fresh: %+v", r)
		}
		time.Sleep(3900 * time.Millisecond) // the exchange has taken one second
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 2 {
			t.Errorf("again within 5 s: %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
			t.Errorf("the others: %+v", r)
		}
		time.Sleep(100 * time.Millisecond)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 3 {
			t.Errorf("after 5 s: %+v", r)
		}
	})
}

func TestFreshError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.get(t.Context(), "u", "ios", false)
		works := b.exchange
		b.exchange = func(context.Context, int64) (*Token, Outcome, error) {
			return nil, "", &Error{Code: CodeUnavailable}
		}
		for range 2 {
			if r := b.get(t.Context(), "u", "ios", true); code(r) != CodeUnavailable {
				t.Errorf("fresh: %+v", r)
			}
		}
		if n := b.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 1 {
			t.Errorf("a request without Fresh: %+v", r)
		}
		b.exchange = works
		time.Sleep(6 * time.Second)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 3 {
			t.Errorf("when the service is back: %+v", r)
		}
	})
}

// TestFreshJoins checks that the token of a running exchange is fresh enough, and that
// the request that joins it counts as the first of two.
func TestFreshJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 1 {
			t.Errorf("joined: %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 1 {
			t.Errorf("again: %+v", r)
		}
	})
}

func TestRefusalsAreRepeatedOutagesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for c, again := range map[Code]int64{
			CodeRefused: 1, CodeConnectUnavailable: 1, CodeNotRegistered: 1, CodeRejected: 1,
			CodeUnavailable: 3, CodeTimeout: 3, CodeConfig: 3, CodeBadResponse: 3, CodeRegistrationLimited: 3,
		} {
			b := newTestEngine()
			b.exchange = func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: c} }
			for range 3 {
				if r := b.get(t.Context(), "u", "ios", false); code(r) != c {
					t.Errorf("%s: %+v", c, r)
				}
			}
			if n := b.calls.Load(); n != again {
				t.Errorf("%s: %d calls, want %d", c, n, again)
			}
			time.Sleep(6 * time.Second)
			b.get(t.Context(), "u", "ios", false)
			if n := b.calls.Load(); n != again+1 {
				t.Errorf("%s: after negative_ttl %d calls, want %d", c, n, again+1)
			}
		}
	})
}

func TestNotRegisteredHoldsWhereRegistrationIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		works := b.exchange
		b.exchange = func(context.Context, int64) (*Token, Outcome, error) {
			time.Sleep(time.Second)
			return nil, "", &Error{Code: CodeNotRegistered}
		}
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		b.exchange = works
		registers := b.policy
		registers.Registers = true
		ask := func(p *Policy) Result {
			return b.Exchange(t.Context(), &Request{User: "u", Variant: "ios", Source: source{b}, Policy: p})
		}
		joined := make(chan Result)
		go func() { joined <- ask(&registers) }()
		if r := <-joined; r.Outcome != OutcomeSignedIn {
			t.Errorf("the request that joined got %+v", r)
		}
		b.Flush()
		b.policy.Cache.Put("u", "ios", Record{Err: &Error{Code: CodeNotRegistered, at: time.Now()}, Until: time.Now().Add(time.Minute)})
		if r := ask(&b.policy); code(r) != CodeNotRegistered {
			t.Errorf("without registration: %+v", r)
		}
		if r := ask(&registers); r.Err != nil {
			t.Errorf("with registration: %+v", r)
		}
	})
}

// TestNegativeTTLTakesEffectAtOnce checks that a refusal cached for an hour is not
// repeated by a handler that repeats none.
func TestNegativeTTLTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.policy.NegativeTTL = time.Hour
		b.exchange = func(context.Context, int64) (*Token, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		b.get(t.Context(), "u", "ios", false)
		time.Sleep(10 * time.Second)
		if b.get(t.Context(), "u", "ios", false); b.calls.Load() != 1 {
			t.Errorf("%d calls: the refusal was not cached", b.calls.Load())
		}
		b.policy.NegativeTTL = 5 * time.Second
		if b.get(t.Context(), "u", "ios", false); b.calls.Load() != 2 {
			t.Errorf("%d calls: the refusal was cached for too long", b.calls.Load())
		}
	})
}

// TestC09_FreshTokensEnd checks that the second of two requests with Fresh never gets a
// token that has expired.
func TestC09_FreshTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
			return NewToken(time.Now()).Text("authToken", fmt.Sprint(call)).Lifetime("expiresIn", 2*time.Second).Token(), OutcomeSignedIn, nil
		}
		b.get(t.Context(), "u", "ios", true)
		time.Sleep(time.Second)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 1 {
			t.Errorf("within its life: %+v", r)
		}
		time.Sleep(1500 * time.Millisecond)
		if r := b.get(t.Context(), "u", "ios", true); callOf(r) != 2 {
			t.Errorf("after its end: %+v", r)
		}
	})
}

// TestC13_EvictDeletesNotes checks that Evict also deletes what the Exchange has put
// into a cache.
func TestC13_EvictDeletesNotes(t *testing.T) {
	const note Variant = "\x00note"
	b := newTestEngine()
	b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
		b.Evict("u")
		b.policy.Cache.Put("u", note, Record{Err: &Error{Code: "noted"}, Until: time.Now().Add(time.Hour)})
		return token(call), OutcomeSignedIn, nil
	}
	b.get(t.Context(), "u", "ios", false)
	if _, kept := b.policy.Cache.Get("u", note, time.Now()); kept {
		t.Error("the record of an evicted user is still cached")
	}
}
