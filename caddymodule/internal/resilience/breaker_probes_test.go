package resilience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestProbes checks the effect of a probe's result, early or late.
func TestProbes(t *testing.T) {
	const open = 5 * time.Second
	for _, test := range []struct {
		name string
		call func(context.Context) error
		next time.Duration // after the start of the probe; 0: the breaker is closed
	}{
		{"success", fail(nil), 0},
		{"refusal", fail(errRefused), 0},
		{"429", fail(errLimited), 0},
		{"unusable response", fail(&exchange.ResponseError{Reason: "not JSON"}), 0},
		{"late success", after(9*time.Second, nil), 0},
		{"late refusal", after(9*time.Second, errRefused), 0},
		{"failure", fail(errDown), open},
		{"failure after a while", after(400*time.Millisecond, errDown), 400*time.Millisecond + open},
		{"failure after a second", after(time.Second, errDown), time.Second + open},
		{"late failure", after(3*time.Second, errDown), time.Second + open}, // counts as failed after 1 s
		{"timeout", after(4*time.Second, errTimeout), time.Second + open},
		{"no connection", fail(errNoConn), open},
		{"the caller left", fail(errLeft), time.Second},
		{"an error of ours", fail(errors.New("sign: no secret")), time.Second},
		{"panic", func(context.Context) error { panic("probe") }, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := opened(t, Settings{MaxConcurrent: 4, Breaker: &testBreaker})
				twoProbesFail(t, g)
				begin := time.Now()
				func() {
					defer func() { _ = recover() }()
					calls(t, g, 1, test.call)
				}()
				if test.next == 0 {
					wantClosed(t, g)
					calls(t, g, 3, fail(errDown))
					wantClosed(t, g) // it counts anew
					return
				}
				wantRetryAfter(t, g, test.next-time.Since(begin))
				time.Sleep(test.next - time.Since(begin))
				wantClosed(t, g) // the next probe
			})
		})
	}
}

// TestTheFirstSuccessCloses checks that the first success of several probes closes the
// breaker, even if it is not the latest probe. The results of the other probes are then
// ignored.
func TestTheFirstSuccessCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen testutil.Recorder[bool]
		g := opened(t, Settings{MaxConcurrent: 10, Breaker: &testBreaker, OnBreaker: seen.Add})
		var wg sync.WaitGroup
		for _, call := range []func(context.Context) error{
			after(2500*time.Millisecond, nil), hang, hang, hang,
		} {
			wg.Go(func() { _ = g.Do(t.Context(), Limits{AttemptTimeout: 8 * time.Second}, call) })
			time.Sleep(900 * time.Millisecond)
			if g.BreakerOpen() {
				wantRetryAfter(t, g, 100*time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		wantClosed(t, g)
		wg.Wait() // the others time out
		wantClosed(t, g)
		calls(t, g, 3, fail(errDown))
		wantStillClosed(t, g)
		calls(t, g, 1, fail(errDown))
		wantOpen(t, g)
		if got := seen.All(); !slices.Equal(got, []bool{true, false, true}) {
			t.Errorf("OnBreaker was called with %v, want open, closed, open", got)
		}
	})
}

// TestProbesThatTimeOut checks that a probe that times out counts as failed one second
// after its start, and that later probes that hang keep their interval.
func TestProbesThatTimeOut(t *testing.T) {
	for _, test := range []struct {
		open, attempt, lasts time.Duration
		want                 []int // s after the first
	}{
		{time.Minute, 2500 * time.Millisecond, 2 * time.Minute, []int{0, 1, 2, 63, 64, 65}},
		{time.Second, 4500 * time.Millisecond, 8 * time.Second, []int{0, 1, 2, 3, 4, 5, 6, 7}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := opened(t, Settings{MaxConcurrent: 10, Breaker: &BreakerSettings{Failures: 4, Open: test.open}})
			begin := time.Now()
			var at []time.Duration
			var wg sync.WaitGroup
			for time.Since(begin) < test.lasts {
				wg.Go(func() {
					_ = g.Do(t.Context(), Limits{AttemptTimeout: test.attempt}, func(ctx context.Context) error {
						at = append(at, time.Since(begin))
						return hang(ctx)
					})
				})
				synctest.Wait()
				time.Sleep(500 * time.Millisecond)
			}
			wg.Wait()
			var want []time.Duration
			for _, s := range test.want {
				want = append(want, time.Duration(s)*time.Second)
			}
			if !slices.Equal(at, want) {
				t.Errorf("open %v: probes after %v, want %v", test.open, at, want)
			}
		})
	}
}

// TestAShortOpenTime tests an open time below one second.
func TestAShortOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, Settings{MaxConcurrent: 1, Breaker: &BreakerSettings{Failures: 4, Open: 100 * time.Millisecond}})
		for range 3 {
			calls(t, g, 1, fail(errDown))
			wantRetryAfter(t, g, 100*time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
		wantClosed(t, g)
	})
}

// TestLateResultsDoNotCount checks that a call sent before an outage says nothing about
// the time after it: neither that the outage is over nor that there is another one.
func TestLateResultsDoNotCount(t *testing.T) {
	for name, err := range map[string]error{"failure": errTimeout, "success": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen testutil.Recorder[bool]
				g := New(Settings{MaxConcurrent: 100, Breaker: &testBreaker, OnBreaker: seen.Add})
				var wg sync.WaitGroup
				for _, lasts := range []time.Duration{2 * time.Second, 8 * time.Second} {
					for range 20 {
						wg.Go(func() { calls(t, g, 1, after(lasts, err)) })
					}
				}
				synctest.Wait()
				calls(t, g, 4, fail(errDown))
				time.Sleep(3 * time.Second)
				wantRetryAfter(t, g, 2*time.Second)
				time.Sleep(2 * time.Second)
				wantClosed(t, g)
				calls(t, g, 3, fail(errDown))
				wg.Wait()
				wantStillClosed(t, g)
				calls(t, g, 1, fail(errDown)) // the series continues
				wantOpen(t, g)
			})
		})
	}
}

// TestH04_ProbesThatHang checks that the recovery of the service is detected within the
// open time plus one second, whenever it is and however long calls hang before.
func TestH04_ProbesThatHang(t *testing.T) {
	for _, open := range []time.Duration{300 * time.Millisecond, time.Second, 5 * time.Second, time.Minute} {
		for _, attempt := range []time.Duration{200 * time.Millisecond, 5 * time.Second, 20 * time.Second} {
			for _, every := range []time.Duration{50 * time.Millisecond, 3 * time.Second} {
				t.Run(fmt.Sprintf("open %s, attempts of %s, a call all %s", open, attempt, every), func(t *testing.T) {
					for range 20 {
						synctest.Test(t, func(t *testing.T) {
							wantRecovery(t, open, attempt, every, rand.N(2*open+2*attempt))
						})
					}
				})
			}
		}
	}
}

// wantRecovery simulates a service that hangs for a while after the breaker opened.
func wantRecovery(t *testing.T, open, attempt, every, hangs time.Duration) {
	g := opened(t, Settings{MaxConcurrent: 100, Breaker: &BreakerSettings{Failures: 4, Open: open}})
	back := time.Now().Add(hangs)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		wg.Go(func() {
			_ = g.Do(t.Context(), Limits{AttemptTimeout: attempt}, func(ctx context.Context) error {
				if time.Now().Before(back) {
					return hang(ctx)
				}
				return nil
			})
		})
		synctest.Wait()
		if !g.BreakerOpen() {
			break
		}
		time.Sleep(every)
	}
	if took := time.Since(back); took > open+time.Second+every {
		t.Errorf("it took %v to find out that the service is back after %v", took, hangs)
	}
}

// TestASignUpIsNoProbe checks that a call that must be made only once is never a probe.
func TestASignUpIsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, Settings{MaxConcurrent: 4, Breaker: &testBreaker})
		for _, wait := range []time.Duration{0, time.Hour} {
			time.Sleep(wait)
			err := g.Do(t.Context(), Limits{Priority: true}, func(context.Context) error {
				t.Error("the call was made")
				return nil
			})
			var open *exchange.BreakerOpenError
			if !errors.As(err, &open) || open.RetryAfter <= 0 || open.RetryAfter > time.Millisecond {
				t.Errorf("Do = %#v, want a RetryAfter", err)
			}
		}
		wantClosed(t, g)
		if err := g.Do(t.Context(), Limits{Priority: true}, fail(nil)); err != nil {
			t.Errorf("with a closed breaker: %v", err)
		}
	})
}
