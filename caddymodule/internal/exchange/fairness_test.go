package exchange

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// getAll requests the tokens of several variants concurrently, and returns how many requests ended
// with each code after a while.
func (b *testEngine) getAll(t *testing.T, user UserKey, variants []Variant) map[Code]int {
	results := make(chan Result, len(variants))
	for _, variant := range variants {
		go func() { results <- b.get(t.Context(), user, variant, false) }()
	}
	counts := make(map[Code]int)
	for range variants {
		counts[code(<-results)]++
	}
	return counts
}

// newVariants returns n variants.
func newVariants(n int) (variants []Variant) {
	for i := range n {
		variants = append(variants, Variant(fmt.Sprint(i)))
	}
	return variants
}

// TestF06_JoinersTakeNoPlace checks that all devices of a user wait for one exchange,
// which max_waiting counts once.
func TestF06_JoinersTakeNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.policy.MaxWaiting = 1
		counts := b.getAll(t, "u", make([]Variant, 500))
		if counts[""] != 500 || b.calls.Load() != 1 {
			t.Errorf("responses %v after %d calls, want 500 tokens of one", counts, b.calls.Load())
		}
	})
}

// TestF02_ExchangesOfOneUser checks that eight exchanges of a user run, eight wait, and
// more are refused, while another user is served.
func TestF02_ExchangesOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		start := time.Now()
		var running, most int64
		b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
			b.mu.Lock()
			running++
			most = max(most, running)
			b.mu.Unlock()
			time.Sleep(time.Second)
			b.mu.Lock()
			running--
			b.mu.Unlock()
			return token(call), OutcomeSignedIn, nil
		}
		counts := b.getAll(t, "u", newVariants(100))
		if counts[""] != 16 || counts[CodeOverloaded] != 84 {
			t.Errorf("responses %v, want 16 and 84", counts)
		}
		if d := time.Since(start); d != 2*time.Second || most != 8 {
			t.Errorf("at most %d ran at once, and it took %s: want 8 and 2 s", most, d)
		}

		go b.getAll(t, "u", newVariants(200)[100:])
		synctest.Wait()
		start = time.Now()
		if r := b.get(t.Context(), "v", "ios", false); r.Err != nil || time.Since(start) != time.Second {
			t.Errorf("another user got %+v after %s", r, time.Since(start))
		}
		_ = b.Wait(t.Context())
		if len(b.users) != 0 || b.running != 0 {
			t.Errorf("left behind: %v, %d", b.users, b.running)
		}
	})
}

// TestF02_WaitingEnds checks that an exchange waits for its turn for half of its
// timeout. In this test, the rest is too short for an exchange, so none is started.
func TestF02_WaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(ctx context.Context, call int64) (*Token, Outcome, error) {
			time.Sleep(8 * time.Second)
			return token(call), OutcomeSignedIn, nil
		}
		counts := b.getAll(t, "u", newVariants(16))
		if counts[""] != 8 || counts[CodeOverloaded] != 8 || b.calls.Load() != 8 {
			t.Errorf("responses %v after %d calls, want 8 and 8 after 8", counts, b.calls.Load())
		}
	})
}

// TestF01_EvictedAgainAndAgain checks that a request waits for two exchanges at most,
// however often its user is evicted. The other requests of that user share the second
// one.
func TestF01_EvictedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					b.EvictTokens("u")
				}
			}
		}()
		go b.get(t.Context(), "u", "ios", false)
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		variants := make([]Variant, 50)
		for i := range variants {
			variants[i] = "ios"
		}
		counts := b.getAll(t, "u", variants)
		if d := time.Since(start); counts[""] != 50 || d != 1500*time.Millisecond {
			t.Errorf("responses %v after %s, want 50 tokens after 1.5 s", counts, d)
		}
		close(stop)
		if n := b.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// TestEveryWaitEndsAtTheTimeout also tests a wait that began late, and one for an
// exchange that does not end in time.
func TestEveryWaitEndsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestEngine()
		b.exchange = func(context.Context, int64) (*Token, Outcome, error) { // it ignores its context
			time.Sleep(time.Minute)
			return token(1), OutcomeSignedIn, nil
		}
		for _, after := range []time.Duration{0, 3 * time.Second} {
			go func() {
				time.Sleep(after)
				start := time.Now()
				r := b.get(t.Context(), "u", "ios", false)
				if d := time.Since(start); code(r) != CodeTimeout || d < 10*time.Second || d > 10*time.Second+waitGrace {
					t.Errorf("after %s: %+v", d, r)
				}
			}()
		}
		time.Sleep(2 * time.Minute)
		_ = b.Wait(t.Context())
	})
}

// TestF05_EvictingTokensKeepsRefusals also tests a running exchange. The admin
// endpoint deletes refusals.
func TestF05_EvictingTokensKeepsRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		evict func(*testEngine)
		calls int64
	}{
		{"tokens", func(b *testEngine) { b.EvictTokens("u") }, 1},
		{"all", func(b *testEngine) { b.Evict("u") }, 2},
		{"flush", func(b *testEngine) { b.Flush() }, 2},
	} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/running=%t", c.name, running), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newTestEngine()
					b.exchange = func(context.Context, int64) (*Token, Outcome, error) {
						time.Sleep(time.Second)
						return nil, "", &Error{Code: CodeRefused}
					}
					if running {
						time.AfterFunc(time.Second/2, func() { c.evict(b) })
					}
					b.get(t.Context(), "u", "ios", false)
					if !running {
						c.evict(b)
					}
					if r := b.get(t.Context(), "u", "ios", false); code(r) != CodeRefused || b.calls.Load() != c.calls {
						t.Errorf("%+v after %d calls, want a refusal after %d", r, b.calls.Load(), c.calls)
					}
				})
			})
		}
	}
}
