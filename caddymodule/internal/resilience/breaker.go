package resilience

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// windowSteps is in how many steps the window rolls.
	windowSteps = 10

	// shortestWait is what a caller is told at least: while a probe runs, and
	// when the breaker is about to let one through.
	shortestWait = time.Second
)

// breaker is gobreaker with three things more: it counts a call when it ends,
// tells how long it stays open, and speaks of its changes with no lock held.
type breaker struct {
	cb       *gobreaker.TwoStepCircuitBreaker[struct{}]
	open     time.Duration
	onChange func(open bool)
	changes  atomic.Uint64 // changes of state so far

	// mu is taken by gobreaker's callback under gobreaker's own lock, so
	// nothing of cb may be called while it is held.
	mu      sync.Mutex
	until   time.Time // when the next probe may go, if it is open
	news    []bool    // what onChange was not told yet
	telling bool      // somebody is telling it
}

func newBreaker(s BreakerSettings, onChange func(open bool)) *breaker {
	b := &breaker{open: s.Open, onChange: onChange}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1, // one probe
		Interval:     s.Window,
		BucketPeriod: s.Window / windowSteps,
		Timeout:      s.Open,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not c.Requests: that counts calls which have not ended.
			ended := c.TotalSuccesses + c.TotalFailures
			return int(ended) >= s.Requests && float64(c.TotalFailures) >= s.Ratio*float64(ended)
		},
		OnStateChange: b.changed,
		IsSuccessful:  func(err error) bool { return !exchange.IsOutage(err) },
		IsExcluded:    saysNothing,
	})
	return b
}

// saysNothing reports whether a call that ended with err says nothing about the
// service: the caller left, there was no time left to call, or it panicked.
func saysNothing(err error) bool {
	var (
		status *exchange.StatusError
		answer *exchange.AnswerError
	)
	switch {
	case err == nil, exchange.IsOutage(err), errors.As(err, &status), errors.As(err, &answer):
		return false
	}
	return true
}

// allow returns where to report the call's end, or why not to make it.
func (b *breaker) allow() (report func(error), err error) {
	changes := b.changes.Load()
	if b.cb.State() == gobreaker.StateClosed {
		// gobreaker books a call under the time of its beginning and forgets
		// it if the window has rolled past that. Calls that time out after
		// more than a window would never open it. So it is told of the whole
		// call at its end, unless the state has changed: what was sent before
		// an outage says nothing about the time after.
		return func(err error) {
			if b.changes.Load() != changes || saysNothing(err) {
				return
			}
			if done, refused := b.cb.Allow(); refused == nil {
				done(err)
				b.tell()
			}
		}, nil
	}
	done, err := b.cb.Allow()
	if err != nil {
		return nil, b.openError(err)
	}
	return func(err error) {
		done(err)
		b.tell()
	}, nil
}

// refusal is the error of a call that allow would surely refuse now. It takes
// nobody's turn as the probe.
func (b *breaker) refusal() error {
	// Counts before State: if it closes in between, the counts are not taken
	// for those of the probe.
	c := b.cb.Counts()
	switch b.cb.State() {
	case gobreaker.StateOpen:
		return b.openError(gobreaker.ErrOpenState)
	case gobreaker.StateHalfOpen:
		if c.Requests > c.TotalExclusions {
			return b.openError(gobreaker.ErrTooManyRequests)
		}
	}
	return nil
}

func (b *breaker) isOpen() bool { return b.cb.State() != gobreaker.StateClosed }

// openError turns gobreaker's refusal into the exchange's.
func (b *breaker) openError(err error) error {
	wait := shortestWait
	if errors.Is(err, gobreaker.ErrOpenState) {
		b.mu.Lock()
		wait = max(wait, time.Until(b.until))
		b.mu.Unlock()
	}
	return &exchange.OpenError{RetryAfter: wait}
}

// changed is called by gobreaker with its lock held.
func (b *breaker) changed(_ string, from, to gobreaker.State) {
	b.changes.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if to == gobreaker.StateOpen {
		b.until = time.Now().Add(b.open)
	}
	if b.onChange != nil && (from == gobreaker.StateClosed || to == gobreaker.StateClosed) {
		b.news = append(b.news, to != gobreaker.StateClosed)
	}
}

// tell passes the news on, in order: if somebody is at it, they go on with
// what has come in the meantime.
func (b *breaker) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.telling {
		return
	}
	b.telling = true
	defer func() { b.telling = false }()
	for len(b.news) > 0 {
		open := b.news[0]
		b.news = b.news[1:]
		func() {
			b.mu.Unlock()
			defer b.mu.Lock()
			b.onChange(open)
		}()
	}
}
