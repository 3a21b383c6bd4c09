package resilience

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestWhatOpensTheBreaker(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"408", &exchange.StatusError{Status: 408}, true},
		{"500", &exchange.StatusError{Status: 500}, true},
		{"501", &exchange.StatusError{Status: 501}, true},
		{"503", errDown, true},
		{"no connection", errNoConn, true},
		{"no response in time", errTimeout, true},
		{"success", nil, false},
		{"400", &exchange.StatusError{Status: 400}, false},
		{"401", &exchange.StatusError{Status: 401}, false},
		{"403", errRefused, false},
		{"429 (H06)", errLimited, false},
		{"429 with Retry-After (H06)", &exchange.StatusError{Status: 429, RetryAfter: time.Hour}, false},
		{"a definite 5xx", &exchange.StatusError{Status: 500, Code: "100010", Definite: true}, false},
		{"a response that cannot be used", &exchange.ResponseError{Reason: "not JSON"}, false},
		{"the caller left", errLeft, false},
		{"the caller left before", context.Canceled, false},
		{"no time left before", context.DeadlineExceeded, false},
		{"an error of ours", errors.New("sign: no secret"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
			calls(t, g, 200, fail(test.err))
			if g.BreakerOpen() != test.open {
				t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
			}
		})
	}
}

// TestFailuresInARow makes calls that are written as two letters each: the user (_:
// none), and the result.
func TestFailuresInARow(t *testing.T) {
	ends := map[byte]error{
		'2': nil,
		'4': errRefused,
		'9': errLimited,
		'5': &exchange.StatusError{Status: 500, Definite: true},
		'?': &exchange.ResponseError{Reason: "not JSON"},
		'x': errLeft, // does not count
		'p': errPanicked,
		'-': errDown,
	}
	for _, test := range []struct {
		name, calls string // pairs of user and result
		open        bool
	}{
		{"one too few", "a-b-c-", false},
		{"exactly enough", "a-b-c-d-", true},
		{"of three users", "a-b-c-a-", true},
		{"of one user", strings.Repeat("a-", 100), false},
		{"of two users", strings.Repeat("a-b-", 100), false},
		{"of many without a user", strings.Repeat("_-", 100), false},
		{"without a user is a user", "_-a-_-b-", true},
		{"the third user opens it", strings.Repeat("a-b-", 10) + "c-", true},
		{"three users, one after the other", "a-a-a-a-b-b-b-b-c-", true},
		{"after many that went well", strings.Repeat("a2", 100) + "a-b-c-d-", true},
		{"a success ends the row", "a-b-c-d2e-f-g-", false},
		{"and its users", "a-b-c-" + "a2" + strings.Repeat("a-b-", 10), false},
		{"and the next row opens it", "a-b-c-d2e-f-g-h-", true},
		{"a refusal ends the row", "a-b-c-d4e-f-g-", false},
		{"429 ends the row", "a-b-c-d9e-f-g-", false},
		{"a definite 5xx ends the row", "a-b-c-d5e-f-g-", false},
		{"an unusable response ends the row", "a-b-c-d?e-f-g-", false},
		{"a caller who leaves does not", "a-b-c-dxe-", true},
		{"and is not in it", "a-b-c-dxexfx", false},
		{"nor is a panic", "a-b-c-dpep", false},
		{"half of all calls fail, alternating", strings.Repeat("a-b2c-d2e-", 50), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
			for i := 0; i < len(test.calls); i += 2 {
				if g.BreakerOpen() {
					t.Fatalf("open after %q", test.calls[:i])
				}
				l := Limits{User: strings.Trim(test.calls[i:i+1], "_")}
				_ = g.Do(t.Context(), l, fail(ends[test.calls[i+1]]))
			}
			if g.BreakerOpen() != test.open {
				t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
			}
		})
	}
}

// TestARowMayLast checks that a series of failures has no time limit: a service that is
// called once a minute can be down, too.
func TestARowMayLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		for range 4 {
			wantStillClosed(t, g)
			calls(t, g, 1, fail(errDown))
			time.Sleep(time.Minute)
		}
		if !g.BreakerOpen() {
			t.Error("the breaker is closed")
		}
	})
}

// TestCallsThatFailTogether checks calls that share one connection. If it breaks, that
// counts as one failure. Each call that times out counts as one.
func TestCallsThatFailTogether(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"their connection broke", &exchange.TransportError{Sent: true, Err: errors.New("reset")}, false},
		{"no response in time", errTimeout, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 100, Breaker: &testBreaker})
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() { calls(t, g, 1, after(time.Second, test.err)) })
				}
				wg.Wait()
				if g.BreakerOpen() != test.open {
					t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
				}
				calls(t, g, 3, fail(errDown)) // calls that start later belong to the series of the first failure
				wantOpen(t, g)
			})
		})
	}
}

func TestBreakerOff(t *testing.T) {
	g := New(Settings{})
	calls(t, g, 1000, fail(errDown))
	wantClosed(t, g)
}

func TestOpenAndClosedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen testutil.Recorder[bool]
		g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker, OnBreaker: seen.Add})
		calls(t, g, 4, fail(errDown))
		wantRetryAfter(t, g, 5*time.Second)
		time.Sleep(3500 * time.Millisecond)
		wantRetryAfter(t, g, 1500*time.Millisecond)
		time.Sleep(1499 * time.Millisecond)
		wantRetryAfter(t, g, time.Millisecond)
		time.Sleep(time.Millisecond)
		if !g.BreakerOpen() {
			t.Error("it closed without a probe")
		}
		twoProbesFail(t, g)
		calls(t, g, 1, fail(errDown)) // and a third user's
		wantRetryAfter(t, g, 5*time.Second)
		time.Sleep(5 * time.Second)
		twoProbesFail(t, g)
		calls(t, g, 1, after(300*time.Millisecond, errDown)) // the open time counts from its end
		wantRetryAfter(t, g, 5*time.Second)
		time.Sleep(5 * time.Second)
		wantClosed(t, g) // the probe succeeds: recovery within the open time (H04)
		calls(t, g, 3, fail(errDown))
		wantClosed(t, g) // and the breaker counts anew
		if got := seen.All(); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("OnBreaker was called with %v, want open, closed", got)
		}
	})
}

// TestRequestsDoNotWaitForProbe checks that a probe waits for a free slot, and that other
// calls do not.
func TestRequestsDoNotWaitForProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		calls(t, g, 3, fail(errDown))
		busy := make(chan struct{})
		go func() { // sent before the outage; it holds the slot
			_ = g.Do(t.Context(), Limits{}, func(context.Context) error { <-busy; return nil })
		}()
		synctest.Wait()
		g.breaker.mu.Lock()
		g.breaker.change(true)
		g.breaker.mu.Unlock()
		time.Sleep(5 * time.Second)
		probe := make(chan error)
		go func() { probe <- g.Do(t.Context(), Limits{}, fail(nil)) }()
		synctest.Wait()
		begin := time.Now()
		wantRetryAfter(t, g, time.Second)
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		close(busy)
		if err := <-probe; err != nil {
			t.Errorf("the probe: %v", err)
		}
		wantClosed(t, g)
	})
}

// TestOpensDuringTheWaitForASlot checks that a call is refused if the breaker has
// opened while it waited for a slot.
func TestOpensDuringTheWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		var wg sync.WaitGroup
		var made, refused atomic.Int64
		for i := range 100 {
			wg.Go(func() {
				err := g.Do(t.Context(), Limits{User: fmt.Sprint(i)}, func(context.Context) error {
					made.Add(1)
					time.Sleep(10 * time.Millisecond)
					return errDown
				})
				var open *exchange.BreakerOpenError
				if errors.As(err, &open) {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if made.Load() != 4 || refused.Load() != 96 {
			t.Errorf("%d calls made, %d refused; want 4, 96", made.Load(), refused.Load())
		}
	})
}

// twoProbesFail makes the probes of two users fail. Then the third one decides.
func twoProbesFail(t *testing.T, g *Client) {
	t.Helper()
	for range 2 {
		calls(t, g, 1, fail(errDown))
		wantRetryAfter(t, g, time.Second)
		time.Sleep(time.Second)
	}
}

// TestF03_ProbesOfOneUser checks that a user for whom the service still fails does not
// keep the breaker open for other users, however often that user calls.
func TestF03_ProbesOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, Settings{MaxConcurrent: 4, Breaker: &testBreaker})
		failing := Limits{User: "failing"}
		begin, made := time.Now(), 0
		for range 200 { // the first call whenever a probe is due
			err := g.Do(t.Context(), failing, func(context.Context) error { made++; return errDown })
			var open *exchange.BreakerOpenError
			if errors.As(err, &open) && time.Since(begin) < 5*time.Second && open.RetryAfter != time.Until(begin.Add(5*time.Second)) {
				t.Fatalf("after %s RetryAfter is %s", time.Since(begin), open.RetryAfter)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if made != 1 {
			t.Errorf("%d calls of the failing user within a second, want 1", made)
		}
		wantClosed(t, g) // another user, one second later
	})
}
