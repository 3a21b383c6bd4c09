package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestC01_OneExchangeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		outcomes := make(chan Outcome, 1000)
		for range 1000 {
			go func() { outcomes <- b.get(t.Context(), "u", "ios", false).Outcome }()
		}
		counts := make(map[Outcome]int)
		for range 1000 {
			counts[<-outcomes]++
		}
		if b.calls.Load() != 1 || b.ended.Load() != 1 || counts[OutcomeSignedIn] != 1 || counts[OutcomeShared] != 999 {
			t.Errorf("%d calls, outcomes %v", b.calls.Load(), counts)
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit {
			t.Errorf("then: %+v", r)
		}
	})
}

func TestC04_FirstRequestIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan Result)
		go func() { left <- b.get(ctx, "u", "ios", false) }()
		synctest.Wait()
		others := make(chan Result)
		go func() { others <- b.get(t.Context(), "u", "ios", false) }()
		synctest.Wait()
		cancel()
		if r := <-left; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("the canceled request got %+v", r)
		}
		if r := <-others; r.Outcome != OutcomeShared || b.calls.Load() != 1 {
			t.Errorf("the other request got %+v after %d calls", r, b.calls.Load())
		}
	})
}

func TestC05_AllRequestsAreCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := b.get(ctx, "u", "ios", false); !errors.Is(r.Err, context.Canceled) {
			t.Errorf("the canceled request got %+v", r)
		}
		if b.Idle() {
			t.Error("Idle reports true during an exchange")
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !b.Idle() {
			t.Error("Idle reports false after an exchange")
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || b.calls.Load() != 1 {
			t.Errorf("the token was not cached: %+v after %d calls", r, b.calls.Load())
		}
	})
}

func TestC07_AnInstantServiceIsCalledOnce(t *testing.T) {
	b := newTestEngine()
	b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	for round := range 200 {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if r := b.get(t.Context(), UserKey(fmt.Sprint(round)), "ios", false); r.Err != nil {
					t.Error(r.Err)
				}
			})
		}
		wg.Wait()
	}
	if n := b.calls.Load(); n != 200 {
		t.Errorf("%d calls, want 200", n)
	}
}

func TestC13_ForgottenWhileItRuns(t *testing.T) {
	for name, evict := range map[string]func(*testEngine){
		"evict": func(b *testEngine) { b.Evict("u") },
		"flush": func(b *testEngine) { b.Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestEngine()
				before := make(chan Result)
				go func() { before <- b.get(t.Context(), "u", "ios", false) }()
				synctest.Wait()
				evict(b)
				after := make(chan Result)
				go func() { after <- b.get(t.Context(), "u", "ios", false) }()
				if r := <-before; callOf(r) != 1 {
					t.Errorf("a request before the eviction got %+v", r)
				}
				if r := <-after; callOf(r) != 2 || r.Outcome != OutcomeSignedIn {
					t.Errorf("a request after the eviction got %+v", r)
				}
				if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
					t.Errorf("cached is %+v", r)
				}
			})
		})
	}
}

func TestKindsAndUsersAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		seen := make(map[int64]bool)
		for _, user := range []UserKey{"u", "v"} {
			for _, variant := range []Variant{"ios", "web"} {
				seen[callOf(b.get(t.Context(), user, variant, false))] = true
			}
		}
		if len(seen) != 4 {
			t.Errorf("tokens of %d calls, want 4", len(seen))
		}
	})
}

func TestWithoutCacheExchangesAreStillShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.policy.Cache, b.policy.Forced = nil, nil
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { b.get(t.Context(), "u", "ios", true) })
		}
		wg.Wait()
		b.get(t.Context(), "u", "ios", false)
		if n := b.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// TestRunningIsBounded checks that canceled requests do not leave more exchanges
// running than the limit.
func TestRunningIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.policy.MaxWaiting = 10
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		overloaded := 0
		for i := range 100 {
			if code(b.get(gone, UserKey(fmt.Sprint(i)), "ios", false)) == CodeOverloaded {
				overloaded++
			}
		}
		if overloaded != 90 {
			t.Errorf("%d of 100 were rejected, want 90", overloaded)
		}
		if err := b.Wait(t.Context()); err != nil || b.calls.Load() != 10 {
			t.Errorf("%d calls, %v", b.calls.Load(), err)
		}
	})
}

func TestTheExchangeHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(ctx context.Context, _ int64) (*Token, Outcome, error) {
			<-ctx.Done()
			return nil, "", Classify(ctx.Err())
		}
		start := time.Now()
		r := b.get(t.Context(), "u", "ios", false)
		if code(r) != CodeTimeout || time.Since(start) != 10*time.Second {
			t.Errorf("after %s: %+v", time.Since(start), r)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
