package resilience

import (
	"context"
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

	// probeTime is how long a probe may be without an answer until others need
	// not wait for it any longer.
	probeTime = 500 * time.Millisecond
)

// breaker is gobreaker with what it takes to notice an outage soon and its end
// too: it counts a call when it ends, opens after failures in a row however
// much went well before, does not wait for a probe that hangs, tells how long it
// stays open, and speaks of its changes with no lock held.
type breaker struct {
	settings BreakerSettings
	onChange func(open bool)

	cb      atomic.Pointer[circuit] // another one when an answer that came late has closed it
	changes atomic.Uint64           // changes of state so far
	row     row

	// mu is taken by gobreaker's callbacks under gobreaker's own lock, so
	// nothing of cb may be called while it is held.
	mu      sync.Mutex
	until   time.Time // when the next probe may go, if it is open
	news    []bool    // what onChange was not told yet
	telling bool      // somebody is telling it
}

type circuit = gobreaker.TwoStepCircuitBreaker[struct{}]

func newBreaker(s BreakerSettings, onChange func(open bool)) *breaker {
	b := &breaker{settings: s, onChange: onChange, row: row{window: s.Window}}
	b.cb.Store(b.circuit())
	return b
}

// circuit returns a closed circuit that has counted nothing.
func (b *breaker) circuit() *circuit {
	s := b.settings
	var cb *circuit
	cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1, // one probe
		Interval:     s.Window,
		BucketPeriod: s.Window / windowSteps,
		Timeout:      s.Open,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not c.Requests: that counts calls which have not ended.
			ended := c.TotalSuccesses + c.TotalFailures
			return int(ended) >= s.Requests && float64(c.TotalFailures) >= s.Ratio*float64(ended) ||
				b.row.length() >= s.Requests
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if b.cb.Load() == cb {
				b.changed(from, to)
			}
		},
		IsSuccessful: func(err error) bool { return !exchange.IsOutage(err) },
		IsExcluded:   saysNothing,
	})
	return cb
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
func (b *breaker) allow(mayProbe bool) (report func(error), err error) {
	changes, began := b.changes.Load(), time.Now()
	cb := b.cb.Load()
	if cb.State() != gobreaker.StateClosed {
		return b.probe(cb, mayProbe)
	}
	// gobreaker books a call under the time of its beginning and forgets it if
	// the window has rolled past that. Calls that time out after more than a
	// window would never open it. So it is told of the whole call at its end,
	// unless the state has changed: what was sent before an outage says nothing
	// about the time after.
	return func(err error) {
		if b.changes.Load() != changes || saysNothing(err) {
			return
		}
		b.row.add(began, err)
		if done, refused := cb.Allow(); refused == nil {
			done(err)
			b.tell()
		}
	}, nil
}

// probe is allow for a breaker that is open.
func (b *breaker) probe(cb *circuit, mayProbe bool) (report func(error), err error) {
	if !mayProbe {
		return nil, b.openError(cb)
	}
	done, err := cb.Allow()
	if err != nil {
		return nil, b.openError(cb)
	}
	// A probe that hangs would keep everybody out until its own timeout and
	// for another open time, also if the service is back by then. So it counts
	// as failed before that; should the answer come all the same, it counts
	// more.
	var once sync.Once
	late := time.AfterFunc(probeTime, func() {
		once.Do(func() { done(errProbeHangs) })
		b.tell()
	})
	return func(err error) {
		late.Stop()
		isLate := true
		once.Do(func() { isLate = false; done(err) })
		if isLate && !saysNothing(err) && !exchange.IsOutage(err) {
			b.close(cb)
		}
		b.tell()
	}, nil
}

var errProbeHangs = &exchange.TransportError{Op: "probe", Timeout: true, Err: context.DeadlineExceeded}

// close closes the breaker although cb, which is open, has not had its time.
func (b *breaker) close(cb *circuit) {
	if cb.State() != gobreaker.StateClosed && b.cb.CompareAndSwap(cb, b.circuit()) {
		b.changed(gobreaker.StateHalfOpen, gobreaker.StateClosed)
	}
}

// refusal is the error of a call that allow would surely refuse now. It takes
// nobody's turn as the probe.
func (b *breaker) refusal(mayProbe bool) error {
	cb := b.cb.Load()
	// Counts before State: if it closes in between, the counts are not taken
	// for those of the probe.
	c := cb.Counts()
	switch cb.State() {
	case gobreaker.StateClosed:
		return nil
	case gobreaker.StateHalfOpen:
		if probing := c.Requests > c.TotalExclusions; mayProbe && !probing {
			return nil
		}
	}
	return b.openError(cb)
}

func (b *breaker) isOpen() bool { return b.cb.Load().State() != gobreaker.StateClosed }

// openError is the error of a call that is not made.
func (b *breaker) openError(cb *circuit) error {
	wait := shortestWait
	if cb.State() == gobreaker.StateOpen {
		b.mu.Lock()
		wait = max(wait, time.Until(b.until))
		b.mu.Unlock()
	}
	return &exchange.OpenError{RetryAfter: wait}
}

// changed notes a change of state. gobreaker calls it with its lock held.
func (b *breaker) changed(from, to gobreaker.State) {
	b.changes.Add(1)
	b.row.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	if to == gobreaker.StateOpen {
		b.until = time.Now().Add(b.settings.Open)
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
