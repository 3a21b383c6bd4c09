package resilience

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// minUsers is how many users consecutive failures must come from to open the
	// breaker, because a service that fails for one user only is not down. Once the
	// probes of as many users have failed, no further probe is sent for the open time.
	minUsers = 3

	// probeInterval is how long to wait for the response to a probe before another
	// probe may be sent.
	probeInterval = time.Second
)

// breaker is a circuit breaker. While it is closed, it counts consecutive failures, and
// opens after enough of them. While it is open, it permits a probe now and then, and
// closes when one succeeds.
type breaker struct {
	settings BreakerSettings
	onChange func(open bool)

	mu      sync.Mutex
	open    atomic.Bool // written with mu held
	changes int         // how often open has changed

	// While it is closed: the consecutive failures.
	series   int // how many series of failures have begun
	failures int
	users    []string // of the failures, or of the failed probes; distinct, at most minUsers

	// While it is open: the probes.
	next         time.Time // when the next probe may be sent
	latest       time.Time // when the latest probe was permitted
	nextForUsers time.Time // when users whose probe has failed may probe again
}

// permit is the permission to make one call.
type permit struct {
	changes, series int // of the breaker, when the permit was issued
	at              time.Time
}

func newBreaker(s BreakerSettings, onChange func(open bool)) *breaker {
	if onChange == nil {
		onChange = func(bool) {}
	}
	return &breaker{settings: s, onChange: onChange}
}

// allow permits a call for user, or returns an *exchange.BreakerOpenError. held is the permit
// that the caller already has for this call, or zero: a probe needs no second one.
func (b *breaker) allow(held permit, user string, mayProbe bool) (permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.open.Load() {
		if held.changes == b.changes {
			return held, nil
		}
		next := b.next
		if slices.Contains(b.users, user) && b.nextForUsers.After(next) {
			next = b.nextForUsers // the service may fail for this user alone
		}
		// RetryAfter is never 0, because 0 would not say when to retry.
		if wait := next.Sub(now); wait > 0 || !mayProbe {
			return permit{}, &exchange.BreakerOpenError{RetryAfter: max(wait, 1)}
		}
		b.latest, b.next = now, now.Add(probeInterval)
	}
	return permit{b.changes, b.series, now}, nil
}

// report records the result of a call for user. It ignores calls that were permitted
// before the last change, because they say nothing about the time after it.
func (b *breaker) report(p permit, user string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	outage := exchange.IsOutage(err)
	switch {
	case p.changes != b.changes, isInconclusive(err):
	case b.open.Load() && outage:
		b.probeFailed(p, user)
	case b.open.Load():
		b.change(false)
	case outage:
		b.failed(p, user, err)
	default:
		b.failures = 0
	}
}

// failed counts a failure. It ignores calls that were running when the first failure of
// the series was reported, because they may have shared a connection that broke.
// Timeouts of such calls do count.
func (b *breaker) failed(p permit, user string, err error) {
	switch {
	case b.failures == 0:
		b.series++
		b.users = b.users[:0]
	case p.series != b.series && !timedOut(err):
		return
	}
	b.failures++
	b.addUser(user)
	if b.failures >= b.settings.Failures && len(b.users) == minUsers {
		b.change(true)
	}
}

func (b *breaker) addUser(user string) {
	if len(b.users) < minUsers && !slices.Contains(b.users, user) {
		b.users = append(b.users, user)
	}
}

// probeFailed delays the next probe: for the same user by the open time, and for all
// users once probes of minUsers users have failed. Until then the probe of another user
// may be sent after probeInterval, because the service may fail for this user only.
//
// A probe without a response counts as failed after probeInterval. So if the service
// recovers in the meantime, that is detected within probeInterval plus the open time,
// however long probes hang.
func (b *breaker) probeFailed(p permit, user string) {
	failed := p.at.Add(min(time.Since(p.at), probeInterval))
	if len(b.users) == minUsers {
		b.users = b.users[:0] // those of the round before
	}
	b.addUser(user)
	b.nextForUsers = failed.Add(b.settings.Open)
	next := b.nextForUsers
	if len(b.users) < minUsers {
		next = failed.Add(min(probeInterval, b.settings.Open))
	}
	if p.at.Equal(b.latest) || next.After(b.next) {
		b.next = next
	}
}

// change opens or closes the breaker, and calls onChange.
func (b *breaker) change(open bool) {
	b.open.Store(open)
	b.changes++
	b.failures = 0
	b.users = b.users[:0]
	if open {
		b.next = time.Now().Add(b.settings.Open)
	}
	b.onChange(open)
}

// isInconclusive reports whether the error of a call says nothing about the service:
// the client canceled the request, no time was left for the call, or the call panicked.
func isInconclusive(err error) bool {
	var (
		status   *exchange.StatusError
		response *exchange.ResponseError
	)
	return err != nil && !exchange.IsOutage(err) && !errors.As(err, &status) && !errors.As(err, &response)
}

func timedOut(err error) bool {
	var transport *exchange.TransportError
	return errors.As(err, &transport) && transport.Timeout
}
