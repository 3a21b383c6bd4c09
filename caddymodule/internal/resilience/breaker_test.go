package resilience

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestWhatOpensTheBreaker(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"500", &exchange.StatusError{Status: 500}, true},
		{"503", errDown, true},
		{"no connection", errNoConn, true},
		{"no answer in time", &exchange.TransportError{Sent: true, Timeout: true, Err: context.DeadlineExceeded}, true},
		{"success", nil, false},
		{"400", &exchange.StatusError{Status: 400}, false},
		{"401", &exchange.StatusError{Status: 401}, false},
		{"403", errRefused, false},
		{"429 (H06)", errLimited, false},
		{"429 with Retry-After (H06)", &exchange.StatusError{Status: 429, RetryAfter: time.Hour}, false},
		{"an answer that cannot be used", &exchange.AnswerError{Why: "not JSON"}, false},
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

func TestRatioAndRequests(t *testing.T) {
	ends := map[rune]error{'+': errRefused, '-': errDown, 'l': errLeft}
	for _, test := range []struct {
		name, calls string
		open        bool
	}{
		{"too few", "---", false},
		{"enough", "----", true},
		{"less than the ratio", "++++++---+--", false},
		{"the ratio", "++--++--", true},
		{"those who left do not make it enough", strings.Repeat("l", 100) + "---", false},
		{"those who left do not water it down", strings.Repeat("l", 100) + "----", true},
		{"a row after much that went well", strings.Repeat("+", 100) + "----", true},
		{"no row", strings.Repeat("+", 100) + "---+---+---", false},
		{"those who left do not break a row", strings.Repeat("+", 100) + "--l--", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
			for _, end := range test.calls {
				calls(t, g, 1, fail(ends[end]))
			}
			if g.BreakerOpen() != test.open {
				t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
			}
		})
	}
}

// Many calls share one connection. If it breaks, that is one failure; what
// hangs until its time is over is one each.
func TestCallsThatFailTogether(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"their connection broke", &exchange.TransportError{Sent: true, Err: errors.New("reset")}, false},
		{"no answer in time", &exchange.TransportError{Sent: true, Timeout: true, Err: context.DeadlineExceeded}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 100, Breaker: &testBreaker})
				calls(t, g, 1000, fail(nil))
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						calls(t, g, 1, func(context.Context) error {
							time.Sleep(time.Second)
							return test.err
						})
					})
				}
				wg.Wait()
				if g.BreakerOpen() != test.open {
					t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
				}
			})
		})
	}
}

func TestBreakerOff(t *testing.T) {
	g := New(Settings{})
	calls(t, g, 1000, fail(errDown))
	wantClosed(t, g)
}

func TestTheWindowRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		calls(t, g, 3, fail(errDown))
		time.Sleep(11 * time.Second)
		calls(t, g, 3, fail(errDown)) // the first three are forgotten
		wantClosed(t, g)              // the fourth in the window, one good
		time.Sleep(4 * time.Second)
		calls(t, g, 1, fail(errDown)) // 4 of 5
		wantOpen(t, g)
	})
}

// A call that takes longer than the window must count all the same.
func TestTimeoutsLongerThanTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testBreaker
		s.Window = time.Second
		g := New(Settings{MaxConcurrent: 4, Breaker: &s})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = g.Do(t.Context(), Limits{AttemptTimeout: 5 * time.Second}, hang) })
		}
		wg.Wait()
		wantOpen(t, g)
	})
}

func TestOpenHalfOpenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen changes
		g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker, OnBreaker: seen.told})
		calls(t, g, 4, fail(errDown))
		if open := wantOpen(t, g); open.RetryAfter != 5*time.Second {
			t.Errorf("RetryAfter = %v, want 5s", open.RetryAfter)
		}
		time.Sleep(3500 * time.Millisecond)
		if open := wantOpen(t, g); open.RetryAfter != 1500*time.Millisecond {
			t.Errorf("RetryAfter = %v, want 1.5s", open.RetryAfter)
		}
		time.Sleep(1200 * time.Millisecond)
		if open := wantOpen(t, g); open.RetryAfter != time.Second {
			t.Errorf("RetryAfter = %v, want no less than 1s", open.RetryAfter)
		}
		time.Sleep(time.Second)
		if !g.BreakerOpen() {
			t.Error("it closed without a probe")
		}
		calls(t, g, 1, fail(errDown)) // the probe fails
		if open := wantOpen(t, g); open.RetryAfter != 5*time.Second {
			t.Errorf("RetryAfter = %v, want 5s again", open.RetryAfter)
		}
		time.Sleep(5*time.Second + 1)
		wantClosed(t, g) // the probe is answered: recovery within the open time (H04)
		calls(t, g, 3, fail(errDown))
		wantClosed(t, g) // and it begins to count anew
		if got := seen.all(); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("OnBreaker was told %v, want open, closed", got)
		}
	})
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 100, Breaker: &testBreaker})
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		answer := make(chan struct{})
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := g.Do(t.Context(), Limits{}, func(context.Context) error {
					made.Add(1)
					<-answer
					return nil
				})
				var open *exchange.OpenError
				if errors.As(err, &open) {
					refused.Add(1)
					if open.RetryAfter != time.Second {
						t.Errorf("RetryAfter = %v, want 1s", open.RetryAfter)
					}
				}
			})
		}
		synctest.Wait()
		if made.Load() != 1 || refused.Load() != 99 {
			t.Errorf("%d calls made, %d refused; want 1, 99", made.Load(), refused.Load())
		}
		wantOpen(t, g)
		close(answer)
		wg.Wait()
		wantClosed(t, g)
	})
}

// With one slot, those who ask during a probe must not wait for it.
func TestNobodyWaitsForTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		go func() { _ = g.Do(t.Context(), Limits{AttemptTimeout: 3 * time.Second}, hang) }()
		synctest.Wait()
		begin := time.Now()
		wantOpen(t, g)
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		time.Sleep(4 * time.Second)
	})
}

func TestAProbeWhoseCallerLeavesIsNone(t *testing.T) {
	for name, probe := range map[string]func(context.Context) error{
		"left":     fail(errLeft),
		"panicked": func(context.Context) error { panic("probe") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
				calls(t, g, 4, fail(errDown))
				time.Sleep(5*time.Second + 1)
				func() {
					defer func() { _ = recover() }()
					calls(t, g, 1, probe)
				}()
				if !g.BreakerOpen() {
					t.Error("it closed without an answer")
				}
				wantClosed(t, g) // the next one is the probe
			})
		})
	}
}

// What was sent before an outage says nothing about the time after it.
func TestLateEndsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 100, Breaker: &testBreaker})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { _ = g.Do(t.Context(), Limits{AttemptTimeout: 8 * time.Second}, hang) })
		}
		synctest.Wait()
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		wantClosed(t, g)
		wg.Wait()
		wantClosed(t, g)
	})
}

// A service that is back must not be kept waiting for by a probe that was sent
// while it was gone.
func TestH04_AProbeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker})
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		go func() { _ = g.Do(t.Context(), Limits{AttemptTimeout: 8 * time.Second}, hang) }()
		synctest.Wait()
		begin := time.Now() // the service is back
		for g.BreakerOpen() {
			calls(t, g, 1, fail(nil))
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > testBreaker.Open+time.Second {
			t.Errorf("it took %v to find out that the service is back", took)
		}
		time.Sleep(8 * time.Second) // the old probe times out
		wantClosed(t, g)
	})
}

// An answer is an answer, also if nobody waited for it any more.
func TestAProbeThatIsSlow(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		open bool
	}{
		{"answers", nil, false},
		{"refuses", errRefused, false},
		{"is down", errDown, true},
		{"is left", errLeft, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen changes
				g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker, OnBreaker: seen.told})
				calls(t, g, 4, fail(errDown))
				time.Sleep(5*time.Second + 1)
				slow := func(context.Context) error {
					time.Sleep(2 * time.Second)
					return test.err
				}
				calls(t, g, 1, slow)
				if g.BreakerOpen() != test.open {
					t.Errorf("BreakerOpen = %v, want %v", g.BreakerOpen(), test.open)
				}
				time.Sleep(5 * time.Second)
				wantClosed(t, g)
				calls(t, g, 2, fail(errDown))
				wantClosed(t, g) // it counts anew
				calls(t, g, 3, fail(errDown))
				wantOpen(t, g)
				if got := seen.all(); !slices.Equal(got, []bool{true, false, true}) {
					t.Errorf("OnBreaker was told %v, want open, closed, open", got)
				}
			})
		})
	}
}

// Whether the service is back is for calls to find out that may be made twice,
// and have the time for it.
func TestWhoIsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker})
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		short, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		for name, try := range map[string]func(func(context.Context) error) error{
			"a sign-up": func(call func(context.Context) error) error { return g.Do(t.Context(), Limits{Continues: true}, call) },
			"hardly any time": func(call func(context.Context) error) error {
				return g.Do(short, Limits{AttemptTimeout: time.Second}, call)
			},
		} {
			err := try(func(context.Context) error {
				t.Errorf("%s: the call was made", name)
				return nil
			})
			var open *exchange.OpenError
			if !errors.As(err, &open) || open.RetryAfter != time.Second {
				t.Errorf("%s: Do = %v, want to be told to come back in 1s", name, err)
			}
		}
		if err := g.Do(short, Limits{AttemptTimeout: 300 * time.Millisecond}, fail(nil)); err != nil {
			t.Errorf("an attempt that is short anyway: %v", err)
		}
		wantClosed(t, g)
	})
}

// OnBreaker may ask the Guard, and may panic without harm to what comes later.
func TestOnBreakerHoldsNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *Guard
		var seen changes
		g = New(Settings{MaxConcurrent: 1, Breaker: &testBreaker, OnBreaker: func(open bool) {
			seen.told(open)
			if g.BreakerOpen() != open {
				t.Errorf("told %v, but BreakerOpen = %v", open, g.BreakerOpen())
			}
			_ = g.InFlight()
			if open {
				panic("listener")
			}
		}})
		func() {
			defer func() { _ = recover() }()
			calls(t, g, 4, fail(errDown))
		}()
		if g.InFlight() != 0 {
			t.Errorf("InFlight = %d", g.InFlight())
		}
		time.Sleep(5*time.Second + 1)
		wantClosed(t, g)
		if got := seen.all(); !slices.Equal(got, []bool{true, false}) {
			t.Errorf("OnBreaker was told %v, want open, closed", got)
		}
	})
}

// TestH04_ShortTimeouts: where no exchange has the time of a probe, half of what
// it has must do, or the breaker would never close.
func TestH04_ShortTimeouts(t *testing.T) {
	for _, timeout := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g := New(Settings{MaxConcurrent: 4, Breaker: &testBreaker})
			calls(t, g, 4, fail(errDown))
			time.Sleep(5*time.Second + 1)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			time.Sleep(time.Millisecond) // what comes before a call
			if err := g.Do(ctx, Limits{Timeout: timeout, AttemptTimeout: timeout}, fail(nil)); err != nil {
				t.Errorf("timeout %s: %v", timeout, err)
			}
			wantClosed(t, g)
		})
	}
}

// TestTheRowEndsWithAChange: what failed before an outage is no part of a row
// after it.
func TestTheRowEndsWithAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testBreaker
		s.Ratio, s.Window = 1, time.Minute
		g := New(Settings{MaxConcurrent: 4, Breaker: &s})
		calls(t, g, 4, fail(errDown))
		time.Sleep(5*time.Second + 1)
		wantClosed(t, g) // by a probe, which is in no row
		calls(t, g, 1, fail(errDown))
		wantClosed(t, g)
	})
}
