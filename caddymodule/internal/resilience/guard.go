// Package resilience stands between an exchange and a service that may be
// slow, down or overrun: retry(bulkhead(breaker(timeout(call)))).
//
// The order matters. The breaker is inside the bulkhead: it sees calls, not
// callers who wait for a free slot, so an outage opens it also while all slots
// are taken. The retry is outside: nobody holds a slot while waiting to try
// again.
package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errPanicked is what the breaker is told of a call that panicked: nothing
// that it would count.
var errPanicked = errors.New("the call panicked")

// Settings are what all handlers of one service share.
type Settings struct {
	// MaxConcurrent is how many calls may be at the service at once. Less than
	// 1 is taken for 1.
	MaxConcurrent int

	// Breaker stops calls to a service that is down. Nil: off.
	Breaker *BreakerSettings

	// OnBreaker, if not nil, is told when the breaker opens and when it closes
	// again, in the order in which that happens, one at a time and with no lock
	// held. A probe that fails is no change: the breaker was and is open. It is
	// run by a call that goes through the Guard, so it should return soon.
	OnBreaker func(open bool)
}

// BreakerSettings say when a service is down. All must be positive.
type BreakerSettings struct {
	// Failures is how many outages in a row open the breaker, if they come from
	// at least 3 users.
	Failures int

	// Open is how long no call is made. Then one is, as a probe, and while it
	// has no answer one more each second. A success closes the breaker; after a
	// failure the next probe waits for Open again.
	Open time.Duration
}

// Limits are what a handler allows one exchange.
type Limits struct {
	AttemptTimeout time.Duration // one call; 0: what is left of the context
	Retries        int           // further calls after the first; 0 or less: the call is made at most once
	User           string        // for whom the call is made; calls that name none count as those of one user

	// Continues says that the call goes on with an exchange that has called
	// already. It gets a free slot before those that begin one, and it is never
	// the probe of an open breaker: what it does may have to be done once.
	Continues bool

	// Long says that the call may take all the time there is. Such calls have
	// half of the slots at most, so that others come through however slow they
	// are.
	Long bool
}

// Client lets calls through to one service. Use New.
type Client struct {
	slots    *prioritySemaphore
	half     *prioritySemaphore // of them, those for calls that may last long
	inFlight atomic.Int64
	breaker  *breaker // nil: off
}

// New returns a Guard with a closed breaker.
func New(s Settings) *Client {
	g := &Client{slots: newPrioritySemaphore(max(1, s.MaxConcurrent)), half: newPrioritySemaphore(max(1, s.MaxConcurrent/2))}
	if s.Breaker != nil {
		g.breaker = newBreaker(*s.Breaker, s.OnBreaker)
	}
	return g
}

// Do makes the call, again if that is allowed and may help, and returns the
// error of the last call that was made. Its own errors, if no call was made:
// *exchange.OpenError, *exchange.BusyError when no slot came free in half of the
// time that was left, or ctx's error, wrapped.
//
// call gets a context that ends with ctx and after the attempt's timeout. With
// Retries 0 it is called at most once, whatever becomes of it. If it panics,
// so does Do, and nothing is left behind.
func (g *Client) Do(ctx context.Context, l Limits, call func(context.Context) error) error {
	if l.Retries <= 0 {
		_, err := g.try(ctx, l, call)
		return err
	}
	return retry(ctx, l.Retries, func() (made bool, err error) {
		return g.try(ctx, l, call)
	})
}

// BreakerOpen reports whether the breaker holds calls back. It is open until a
// probe has succeeded, so also when the time has come for one but nobody asked.
func (g *Client) BreakerOpen() bool { return g.breaker != nil && g.breaker.isOpen() }

// InFlight is the number of calls at the service now.
func (g *Client) InFlight() int { return int(g.inFlight.Load()) }

// try makes the call once: bulkhead, breaker, timeout. It reports whether the
// call was made.
func (g *Client) try(ctx context.Context, l Limits, call func(context.Context) error) (made bool, err error) {
	// While the breaker is open, a refused call needs no slot: those may be held
	// by calls that still wait for the service that is down.
	var p permit
	if g.breaker != nil {
		if p, err = g.breaker.allow(p, l.User, !l.Continues); err != nil {
			return false, err
		}
	}
	if l.Long {
		if err := g.half.acquire(ctx, false); err != nil {
			return false, fmt.Errorf("wait for a free call: %w", err)
		}
		defer g.half.release()
	}
	if err := g.slots.acquire(ctx, l.Continues); err != nil {
		return false, fmt.Errorf("wait for a free call: %w", err)
	}
	g.inFlight.Add(1)
	defer func() {
		g.inFlight.Add(-1)
		g.slots.release()
	}()

	outcome := errPanicked // unless attempt returns
	if g.breaker != nil {
		// It may have opened during the wait for a slot.
		if p, err = g.breaker.allow(p, l.User, !l.Continues); err != nil {
			return false, err
		}
		defer func() { g.breaker.report(p, l.User, outcome) }()
	}
	outcome = attempt(ctx, l.AttemptTimeout, call)
	return true, outcome
}

// attempt makes the call with its own timeout.
func attempt(ctx context.Context, timeout time.Duration, call func(context.Context) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return call(ctx)
}
