package resilience

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// wantIdle fails unless all n slots are free.
func wantIdle(t *testing.T, g *Client, n int64) {
	t.Helper()
	if g.InFlight() != 0 {
		t.Errorf("InFlight = %d, want 0", g.InFlight())
	}
	g.slots.mu.Lock()
	free := g.slots.free
	g.slots.mu.Unlock()
	if int64(free) != n {
		t.Fatalf("%d of %d slots are free", free, n)
	}
}

func TestMaxConcurrent(t *testing.T) {
	for _, limit := range []int{-1, 1, 7} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: limit})
				want := int64(max(1, limit))
				var now, most atomic.Int64
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						if err := g.Do(t.Context(), Limits{}, func(context.Context) error {
							n := now.Add(1)
							defer now.Add(-1)
							most.Store(max(most.Load(), n))
							if int64(g.InFlight()) > want {
								t.Errorf("InFlight = %d", g.InFlight())
							}
							time.Sleep(time.Second)
							return nil
						}); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if most.Load() != want {
					t.Errorf("%d calls at once, want %d", most.Load(), want)
				}
				wantIdle(t, g, want)
			})
		})
	}
}

func TestWaitingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		busy, done := context.WithCancel(t.Context())
		go func() { _ = g.Do(busy, Limits{}, hang) }()
		synctest.Wait()

		never := func(context.Context) error {
			t.Error("a call was made")
			return nil
		}
		for range 100 { // enough to open the breaker if they counted
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			var busy *exchange.OverloadError
			l := anotherUser()
			l.Retries = 5
			if err := g.Do(ctx, l, never); !errors.As(err, &busy) {
				t.Errorf("Do = %v, want that it is busy", err)
			}
			if waited := time.Since(begin); waited != time.Second/2 {
				t.Errorf("waited %v, want half of the time there was", waited)
			}
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Do(ctx, Limits{}, never); !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v, want canceled", err)
		}
		done()
		synctest.Wait()
		wantClosed(t, g)
		wantIdle(t, g, 1)
	})
}

func TestAttemptTimeout(t *testing.T) {
	for _, test := range []struct {
		name                   string
		attempt, ctx, deadline time.Duration
	}{
		{"the attempt's", 5 * time.Second, 10 * time.Second, 5 * time.Second},
		{"what is left", 0, 10 * time.Second, 10 * time.Second},
		{"the shorter", 5 * time.Second, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 1})
				ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
				defer cancel()
				begin := time.Now()
				err := g.Do(ctx, Limits{AttemptTimeout: test.attempt}, hang)
				var transport *exchange.TransportError
				if !errors.As(err, &transport) || !transport.Timeout {
					t.Errorf("Do = %v, want the call's own timeout", err)
				}
				if took := time.Since(begin); took != test.deadline {
					t.Errorf("took %v, want %v", took, test.deadline)
				}
			})
		})
	}
}

// TestH02_OpensWhileTheBulkheadIsFull checks the order of bulkhead and breaker: while
// all slots are held by calls that hang, the breaker must open, and then no call may
// wait.
func TestH02_OpensWhileTheBulkheadIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 2, Breaker: &testBreaker})
		var opened, made atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for i := range 2000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				l := Limits{AttemptTimeout: 2 * time.Second, Retries: 1, User: fmt.Sprint(i)}
				err := g.Do(ctx, l, func(ctx context.Context) error {
					made.Add(1)
					return hang(ctx)
				})
				var open *exchange.BreakerOpenError
				if errors.As(err, &open) {
					opened.Add(1)
					// Two rounds of two timeouts open the breaker, and free the slots.
					if waited := time.Since(begin); waited > 4*time.Second {
						t.Errorf("waited %v to be refused", waited)
					}
				}
			})
		}
		wg.Wait()
		if made.Load() > 6 || opened.Load() < 1990 {
			t.Errorf("%d calls were made, %d refused; want about 4, the rest", made.Load(), opened.Load())
		}
		wantOpen(t, g)
		wantIdle(t, g, 2)
	})
}

// TestTheExchangesDeadlineIsAnOutage checks that a call that hangs until the deadline
// of the whole exchange counts as an outage.
func TestTheExchangesDeadlineIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker})
		for range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = g.Do(ctx, anotherUser(), hang)
			cancel()
		}
		wantOpen(t, g)
	})
}

func TestH16_CallersWhoLeave(t *testing.T) {
	const callers, slots = 10_000, 64
	g := New(Settings{MaxConcurrent: slots, Breaker: &testBreaker, OnBreaker: func(bool) { t.Error("the breaker changed") }})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 {
				cancel() // before the call
			}
			l := Limits{AttemptTimeout: time.Minute, Retries: 1, User: fmt.Sprint(i)}
			err := g.Do(ctx, l, func(ctx context.Context) error {
				cancel() // during the call; calls that wait for a slot leave below
				return hang(ctx)
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Do = %v, want canceled", err)
			}
		})
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	wg.Wait()
	wantClosed(t, g)
	wantIdle(t, g, slots)
}

func TestPanicsLeaveNothingBehind(t *testing.T) {
	const slots = 3
	g := New(Settings{MaxConcurrent: slots, Breaker: &testBreaker})
	for _, retries := range []int{0, 2} {
		for i := range 20 {
			func() {
				defer func() {
					if r := recover(); r != "boom" {
						t.Errorf("recovered %v, want the call's own panic", r)
					}
				}()
				_ = g.Do(t.Context(), Limits{AttemptTimeout: time.Second, Retries: retries, User: fmt.Sprint(i)}, func(context.Context) error { panic("boom") })
			}()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = g.Do(t.Context(), Limits{}, func(context.Context) error { runtime.Goexit(); return nil })
	})
	wg.Wait()
	wantClosed(t, g) // a panic is not an outage
	wantIdle(t, g, slots)
}

// TestUnderContention runs everything at once, for the race detector, and checks the
// counters.
func TestUnderContention(t *testing.T) {
	const slots = 8
	s := BreakerSettings{Failures: 10, Open: 2 * time.Millisecond}
	var seen testutil.Recorder[bool]
	g := New(Settings{MaxConcurrent: slots, Breaker: &s, OnBreaker: seen.Add})
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%5)*time.Millisecond)
				_ = g.Do(ctx, Limits{AttemptTimeout: time.Millisecond, Retries: i % 2, User: fmt.Sprint(w)}, func(ctx context.Context) error {
					if g.InFlight() > slots {
						t.Error("too many calls at once")
					}
					switch (i / 50) % 3 {
					case 0:
						return errDown
					case 1:
						return hang(ctx)
					}
					return nil
				})
				cancel()
			}
		})
	}
	wg.Wait()
	wantIdle(t, g, slots)
	for begin := time.Now(); g.BreakerOpen(); time.Sleep(10 * time.Millisecond) {
		calls(t, g, 1, fail(nil))
		if time.Since(begin) > 10*time.Second {
			t.Fatal("no call goes as a probe any more")
		}
	}
	if len(seen.All()) < 2 {
		t.Errorf("OnBreaker was called with %v: it has to open and close", seen.All())
	}
	for i, open := range seen.All() {
		if open != (i%2 == 0) {
			t.Fatalf("OnBreaker was called with %v", seen.All())
		}
	}
}
