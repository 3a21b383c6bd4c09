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
		if b.Idle() {
			t.Error("Idle reports true during an exchange")
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if !b.Idle() {
			t.Error("Idle reports false after an exchange")
		}
	})
}
