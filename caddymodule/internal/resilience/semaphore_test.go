package resilience

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestCallsThatContinueGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1})
		var order []string
		call := func(name string) func(context.Context) error {
			return func(context.Context) error {
				order = append(order, name) // one at a time
				time.Sleep(time.Second)
				return nil
			}
		}
		var wg sync.WaitGroup
		for _, c := range []struct {
			name      string
			continues bool
		}{{"running", false}, {"begins 1", false}, {"begins 2", false}, {"continues 1", true}, {"continues 2", true}} {
			wg.Go(func() { _ = g.Do(t.Context(), Limits{Priority: c.continues}, call(c.name)) })
			synctest.Wait()
		}
		wg.Wait()
		want := []string{"running", "continues 1", "continues 2", "begins 1", "begins 2"}
		for i := range want {
			if i >= len(order) || order[i] != want[i] {
				t.Fatalf("they went in the order %v, want %v", order, want)
			}
		}
		wantIdle(t, g, 1)
	})
}

// TestOverloadOfASlowService checks that a service that is slow but healthy responds at
// its full rate under overload: no call starts that cannot finish in time.
func TestOverloadOfASlowService(t *testing.T) {
	const slots, takes, lasts = 8, 500 * time.Millisecond, 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: slots, Breaker: &testBreaker, OnBreaker: func(bool) { t.Error("the breaker changed") }})
		serve := func(ctx context.Context) error {
			select {
			case <-time.After(takes):
				return nil
			case <-ctx.Done():
				return &exchange.TransportError{Sent: true, Timeout: true, Err: ctx.Err()}
			}
		}
		var tokens atomic.Int64
		var wg sync.WaitGroup
		for begin := time.Now(); time.Since(begin) < lasts; time.Sleep(2 * time.Millisecond) {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := g.Do(ctx, Limits{AttemptTimeout: 5 * time.Second, Retries: 1}, serve)
				if err == nil {
					err = g.Do(ctx, Limits{Priority: true}, serve)
				}
				if err == nil {
					tokens.Add(1)
				}
			})
		}
		wg.Wait()
		possible := slots * int64(lasts/(2*takes))
		if tokens.Load() < possible*9/10 {
			t.Errorf("%d tokens, where %d were possible", tokens.Load(), possible)
		}
		wantIdle(t, g, slots)
	})
}

// TestLongCallsLeaveRoom checks that sign-ups that hang take at most half of the slots.
func TestLongCallsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 4})
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _ = g.Do(ctx, Limits{Priority: true, Long: true}, hang) })
		}
		synctest.Wait()
		if g.InFlight() != 2 {
			t.Errorf("%d long calls at once, want half of the slots", g.InFlight())
		}
		begin := time.Now()
		if err := g.Do(ctx, Limits{}, fail(nil)); err != nil || time.Since(begin) > 0 {
			t.Errorf("another call: %v after %s", err, time.Since(begin))
		}
		wg.Wait()
		wantIdle(t, g, 4)
	})
}
