// Package resilience protects calls to a service that may be slow, down or overloaded
// with retries, a limit of concurrent calls, a circuit breaker and timeouts:
// retry(bulkhead(breaker(timeout(call)))).
//
// The order matters. The breaker is inside the bulkhead: it sees calls, and not callers
// that wait for a free slot. So an outage opens it even while all slots are taken. The
// retry is outside: no caller holds a slot while it waits to retry.
package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errPanicked is reported to the breaker for a call that panicked. The breaker does not
// count it.
var errPanicked = errors.New("panic in the call")

// Settings are shared by all handlers of one service.
type Settings struct {
	// MaxConcurrent is the maximum number of concurrent calls to the service. A value
	// below 1 means 1.
	MaxConcurrent int

	// Breaker configures the circuit breaker, which stops calls to a service that is
	// down. Nil: off.
	Breaker *BreakerSettings

	// OnBreaker is called when the breaker opens and when it closes again, in the order
	// of these changes and one call at a time. A failed probe is not a change, because
	// the breaker stays open. Calls wait for OnBreaker, so it must return soon, and it
	// must not use the Client. Nil: changes are not reported.
	OnBreaker func(open bool)
}

// BreakerSettings define when a service is down. All values must be positive.
type BreakerSettings struct {
	// Failures is how many consecutive outages open the breaker, if they come from at
	// least 3 users.
	Failures int

	// Open is how long no call is made. Then one call is made as a probe, and one more
	// each second while it has no response. A success closes the breaker. After a
	// failure, the next probe waits for Open again.
	Open time.Duration
}

// Limits are the limits of a handler for one exchange.
type Limits struct {
	AttemptTimeout time.Duration // of one call; 0: until ctx ends
	Retries        int           // further calls after the first; 0 or less: at most one call
	User           string        // for whom the call is made; calls with an empty User count as those of one user

	// Priority says that the exchange has already made a call. The call gets a free
	// slot before the first calls of other exchanges. It is never the probe of an open
	// breaker, because it may be a call that must be made only once.
	Priority bool

	// Long says that the call may take all the remaining time. Such calls get at most
	// longSlots of the slots, so that other calls get through however slow they are.
	Long bool
}

// Client protects the calls to one service. Create it with New. It may be used by
// several goroutines at once.
type Client struct {
	slots     *prioritySemaphore
	longSlots *prioritySemaphore // the part of the slots for calls with Long
	inFlight  atomic.Int64
	breaker   *breaker // nil: off
}

// New returns a Client with a closed breaker.
func New(s Settings) *Client {
	g := &Client{slots: newPrioritySemaphore(max(1, s.MaxConcurrent)), longSlots: newPrioritySemaphore(max(1, s.MaxConcurrent/2))}
	if s.Breaker != nil {
		g.breaker = newBreaker(*s.Breaker, s.OnBreaker)
	}
	return g
}

// Do makes the call, retries it if that is permitted and may help, and returns the
// error of the last call that was made. If no call was made, it returns an
// *exchange.BreakerOpenError, an *exchange.OverloadError (no slot was free within half of
// the remaining time), or ctx's error. These errors may be wrapped.
//
// The context of call ends with ctx or after the attempt timeout. With Retries 0, call
// is called at most once, whatever the result is. If call panics, so does Do, after
// releasing its slot.
func (g *Client) Do(ctx context.Context, l Limits, call func(context.Context) error) error {
	if l.Retries <= 0 {
		_, err := g.try(ctx, l, call)
		return err
	}
	return retry(ctx, l.Retries, func() (made bool, err error) {
		return g.try(ctx, l, call)
	})
}

// BreakerOpen reports whether the breaker is open. It is open until a probe succeeds,
// even if a probe is due and no call has been made since.
func (g *Client) BreakerOpen() bool { return g.breaker != nil && g.breaker.open.Load() }

// InFlight returns the number of calls that are running now.
func (g *Client) InFlight() int { return int(g.inFlight.Load()) }

// try makes the call once, through bulkhead, breaker and timeout. It reports whether
// the call was made.
func (g *Client) try(ctx context.Context, l Limits, call func(context.Context) error) (made bool, err error) {
	// The breaker is checked before a slot is acquired, because calls that still wait
	// for a service that is down may hold all the slots.
	var p permit
	if g.breaker != nil {
		if p, err = g.breaker.allow(p, l.User, !l.Priority); err != nil {
			return false, err
		}
	}
	if l.Long {
		if err := g.longSlots.acquire(ctx, false); err != nil {
			return false, fmt.Errorf("wait for a free slot: %w", err)
		}
		defer g.longSlots.release()
	}
	if err := g.slots.acquire(ctx, l.Priority); err != nil {
		return false, fmt.Errorf("wait for a free slot: %w", err)
	}
	g.inFlight.Add(1)
	defer func() {
		g.inFlight.Add(-1)
		g.slots.release()
	}()

	outcome := errPanicked // unless attempt returns
	if g.breaker != nil {
		// The breaker may have opened during the wait for a slot.
		if p, err = g.breaker.allow(p, l.User, !l.Priority); err != nil {
			return false, err
		}
		defer func() { g.breaker.report(p, l.User, outcome) }()
	}
	outcome = attempt(ctx, l.AttemptTimeout, call)
	return true, outcome
}

// attempt makes the call with its own timeout. A timeout of 0 means no further timeout.
func attempt(ctx context.Context, timeout time.Duration, call func(context.Context) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return call(ctx)
}
