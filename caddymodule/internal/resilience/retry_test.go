package resilience

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// script returns one error per call, the last one repeatedly, and records the times of
// the calls.
type script struct {
	errs  []error
	begin time.Time
	at    []time.Duration
}

func (s *script) call(context.Context) error {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	s.at = append(s.at, time.Since(s.begin))
	return s.errs[min(len(s.at), len(s.errs))-1]
}

// TestRetriesZeroIsOneCall checks that with Retries 0 there is one call: a sign-up must
// not be sent twice.
func TestRetriesZeroIsOneCall(t *testing.T) {
	for name, err := range map[string]error{
		"success":             nil,
		"refused":             errRefused,
		"503":                 errDown,
		"503 and Retry-After": &exchange.StatusError{Status: 503, RetryAfter: time.Second},
		"429":                 errLimited,
		"no connection":       errNoConn,
		"reset":               &exchange.TransportError{Sent: true, Err: errors.New("reset")},
		"timeout":             &exchange.TransportError{Sent: true, Timeout: true, Err: context.DeadlineExceeded},
	} {
		for _, retries := range []int{0, -1} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
					s := &script{errs: []error{err}}
					if got := g.Do(t.Context(), Limits{Retries: retries}, s.call); got != err {
						t.Errorf("Do = %v, want %v", got, err)
					}
					if len(s.at) != 1 {
						t.Errorf("%d calls, want exactly 1", len(s.at))
					}
				})
			})
		}
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	status := func(s int) error { return &exchange.StatusError{Status: s} }
	definite := func(s int) error { return &exchange.StatusError{Status: s, Code: "C", Definite: true} }
	for _, test := range []struct {
		name  string
		errs  []error
		calls int // with 2 retries
	}{
		{"success", []error{nil}, 1},
		{"408", []error{status(408)}, 3},
		{"429", []error{errLimited}, 3},
		{"502", []error{status(502)}, 3},
		{"503", []error{errDown}, 3},
		{"504", []error{status(504)}, 3},
		{"no connection", []error{errNoConn}, 3},
		{"timeout", []error{&exchange.TransportError{Timeout: true, Err: context.DeadlineExceeded}}, 3},
		{"once, then success", []error{errDown, nil}, 2},
		{"once, then refused", []error{errDown, errRefused}, 2},
		{"another each time", []error{errDown, errNoConn, errLimited}, 3},
		{"400", []error{status(400)}, 1},
		{"401", []error{status(401)}, 1},
		{"403", []error{errRefused}, 1},
		{"500", []error{status(500)}, 1},
		{"501", []error{status(501)}, 1},
		{"a definite 429", []error{definite(429)}, 1},
		{"a definite 503", []error{definite(503)}, 1},
		{"a response that cannot be used", []error{&exchange.ResponseError{Reason: "not JSON"}}, 1},
		{"the caller left", []error{errLeft}, 1},
		{"an error of ours", []error{errors.New("sign")}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 1})
				s := &script{errs: test.errs}
				err := g.Do(t.Context(), Limits{Retries: 2}, s.call)
				if len(s.at) != test.calls {
					t.Errorf("%d calls, want %d", len(s.at), test.calls)
				}
				if want := test.errs[min(len(s.at), len(test.errs))-1]; err != want {
					t.Errorf("Do = %#v, want the last call's own %#v", err, want)
				}
			})
		})
	}
}

func TestTheWaitsGrowAndJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1})
		first := map[time.Duration]bool{}
		for range 20 {
			s := &script{errs: []error{errDown}}
			_ = g.Do(t.Context(), Limits{Retries: 6}, s.call)
			if len(s.at) != 7 {
				t.Fatalf("%d calls, want 7", len(s.at))
			}
			for i := 1; i < len(s.at); i++ {
				wait, mean := s.at[i]-s.at[i-1], min(FirstWait<<(i-1), maxWait*2/3)
				if wait < mean/2 || wait > mean*3/2+1 || wait > maxWait {
					t.Errorf("wait %d is %v, want about %v", i, wait, mean)
				}
			}
			first[s.at[1]] = true
		}
		if len(first) < 10 {
			t.Errorf("the first waits are %v: no jitter", first)
		}
	})
}

func TestH05_RetryAfter(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		calls int
		wait  time.Duration // exactly; 0: as without a Retry-After
	}{
		{"1 s", time.Second, 2, time.Second},
		{"1.5 s", 1500 * time.Millisecond, 2, 1500 * time.Millisecond},
		{"2 s", 2 * time.Second, 2, 2 * time.Second},
		{"a little more", 2*time.Second + 1, 1, 0},
		{"86400 s", 86400 * time.Second, 1, 0},
		{"none, or one that is not understood", 0, 2, 0},
		{"-1 s", -time.Second, 2, 0},
	} {
		for _, status := range []int{503, 429} {
			t.Run(test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := New(Settings{MaxConcurrent: 1})
					err := &exchange.StatusError{Status: status, RetryAfter: test.after}
					s := &script{errs: []error{err}}
					if got := g.Do(t.Context(), Limits{Retries: 1}, s.call); got != error(err) {
						t.Errorf("Do = %#v, want the service's own error", got)
					}
					if len(s.at) != test.calls {
						t.Fatalf("%d calls, want %d", len(s.at), test.calls)
					}
					if test.wait > 0 && s.at[1] != test.wait {
						t.Errorf("waited %v, want %v", s.at[1], test.wait)
					}
				})
			})
		}
	}
}

func TestNoWaitPastTheDeadline(t *testing.T) {
	for name, err := range map[string]error{
		"Retry-After": &exchange.StatusError{Status: 503, RetryAfter: time.Second},
		"our own":     errDown,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(Settings{MaxConcurrent: 1})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				begin := time.Now()
				s := &script{errs: []error{err}}
				if got := g.Do(ctx, Limits{Retries: 5}, s.call); got != err {
					t.Errorf("Do = %v, want %v", got, err)
				}
				if took := time.Since(begin); took != 0 || len(s.at) != 1 {
					t.Errorf("took %v and %d calls, want none and 1", took, len(s.at))
				}
			})
		})
	}
}

func TestCanceledDuringTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { cancel(errors.New("an internal cause")) })
		err := &exchange.StatusError{Status: 503, RetryAfter: time.Second}
		s := &script{errs: []error{err}}
		begin := time.Now()
		if got := g.Do(ctx, Limits{Retries: 5}, s.call); got != error(err) {
			t.Errorf("Do = %v, want the last call's error", got)
		}
		if took := time.Since(begin); took != 300*time.Millisecond || len(s.at) != 1 {
			t.Errorf("took %v and %d calls, want 300ms and 1", took, len(s.at))
		}
	})
}

// TestTheWaitIsOutsideTheBulkhead checks that a call holds no slot while it waits to
// retry.
func TestTheWaitIsOutsideTheBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1})
		s := &script{errs: []error{&exchange.StatusError{Status: 503, RetryAfter: 2 * time.Second}}}
		go func() { _ = g.Do(t.Context(), Limits{Retries: 1}, s.call) }()
		time.Sleep(time.Second)
		begin := time.Now()
		wantClosed(t, g)
		if waited := time.Since(begin); waited > 0 || g.InFlight() != 0 {
			t.Errorf("waited %v, InFlight = %d", waited, g.InFlight())
		}
		time.Sleep(2 * time.Second)
	})
}

// TestTheBreakerOpensBetweenTries checks that the error of the service is returned, and
// not that the breaker has opened after it.
func TestTheBreakerOpensBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Settings{MaxConcurrent: 1, Breaker: &testBreaker})
		calls(t, g, 3, fail(errDown))
		s := &script{errs: []error{errNoConn}}
		if err := g.Do(t.Context(), Limits{Retries: 5}, s.call); err != error(errNoConn) {
			t.Errorf("Do = %v, want the call's error", err)
		}
		if len(s.at) != 1 {
			t.Errorf("%d calls, want 1", len(s.at))
		}
		wantOpen(t, g)
	})
}
