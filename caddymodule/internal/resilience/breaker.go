package resilience

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// minUsers is how many users the failures in a row must come from: a
	// service that fails for one user alone is not down. As many users' probes
	// must fail until no further ones are made for a while.
	minUsers = 3

	// probeInterval is how long a probe may be without an answer until another
	// one may go.
	probeInterval = time.Second
)

// breaker is a circuit breaker. While it is closed, it counts failures in a
// row, and opens after enough of them. While it is open, it lets a probe
// through now and then, and closes when one succeeds.
type breaker struct {
	settings BreakerSettings
	onChange func(open bool)

	mu      sync.Mutex
	open    bool
	changes int // how often open has changed

	// While it is closed: the failures in a row.
	rows     int // how many rows have begun
	failures int
	users    []string // of the failures, or of the probes that failed; distinct, at most minUsers

	// While it is open: the probes.
	next   time.Time // when the next one may go
	latest time.Time // when the latest one was permitted
	again  time.Time // when users may probe again whose probe has failed

	notified  int  // of how many changes onChange was told
	notifying bool // a goroutine is calling onChange
}

// permit is the permission to make one call.
type permit struct {
	changes, rows int // the breaker's, when it was given
	at            time.Time
}

func newBreaker(s BreakerSettings, onChange func(open bool)) *breaker {
	if onChange == nil {
		onChange = func(bool) {}
	}
	return &breaker{settings: s, onChange: onChange}
}

// allow permits a call for user, or returns an *exchange.OpenError. held is a
// permit that the caller has for the call already, or zero: a probe needs no
// second one.
func (b *breaker) allow(held permit, user string, mayProbe bool) (permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.open {
		if held.changes == b.changes {
			return held, nil
		}
		next := b.next
		if slices.Contains(b.users, user) && b.again.After(next) {
			next = b.again // the service may fail for this user alone
		}
		// Not 0: an error without a RetryAfter does not say when to come back.
		if wait := next.Sub(now); wait > 0 || !mayProbe {
			return permit{}, &exchange.OpenError{RetryAfter: max(wait, 1)}
		}
		b.latest, b.next = now, now.Add(probeInterval)
	}
	return permit{b.changes, b.rows, now}, nil
}

// report tells the breaker how a call for user ended. It ignores calls that
// were permitted before the last change: they say nothing about the time after.
func (b *breaker) report(p permit, user string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	outage := exchange.IsOutage(err)
	switch {
	case p.changes != b.changes, isInconclusive(err):
	case b.open && outage:
		b.probeFailed(p, user)
	case b.open:
		b.change(false)
	case outage:
		b.failed(p, user, err)
	default:
		b.failures = 0
	}
	b.notify()
}

// failed counts a failure. Calls that were on their way when the first failure
// of the row was reported do not count again, because they may have shared a
// connection that broke; unless they timed out.
func (b *breaker) failed(p permit, user string, err error) {
	switch {
	case b.failures == 0:
		b.rows++
		b.users = b.users[:0]
	case p.rows != b.rows && !timedOut(err):
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

// probeFailed puts off the next probe: of the same user for the open time, and of
// all users once probes of minUsers have failed. Until then the next user's may go
// after probeInterval, because the service may fail for this one alone.
//
// A probe without an answer after probeInterval counts as failed then: if the
// service came back meanwhile, that is noticed within probeInterval and the open
// time, however long probes hang.
func (b *breaker) probeFailed(p permit, user string) {
	failed := p.at.Add(min(time.Since(p.at), probeInterval))
	if len(b.users) == minUsers {
		b.users = b.users[:0] // of the round before
	}
	b.addUser(user)
	b.again = failed.Add(b.settings.Open)
	next := b.again
	if len(b.users) < minUsers {
		next = failed.Add(min(probeInterval, b.settings.Open))
	}
	if p.at.Equal(b.latest) || next.After(b.next) {
		b.next = next
	}
}

// change opens or closes the breaker.
func (b *breaker) change(open bool) {
	b.open = open
	b.changes++
	b.failures = 0
	b.users = b.users[:0]
	if open {
		b.next = time.Now().Add(b.settings.Open)
	}
}

// notify calls onChange for each change, in order and with mu released. If
// another goroutine does that already, it goes on with these changes.
func (b *breaker) notify() {
	if b.notifying {
		return
	}
	b.notifying = true
	defer func() { b.notifying = false }()
	for b.notified < b.changes {
		b.notified++
		open := b.notified%2 == 1 // the first change opens it
		func() {
			b.mu.Unlock()
			defer b.mu.Lock()
			b.onChange(open)
		}()
	}
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// isInconclusive reports whether a call that ended with err says nothing about the
// service: the caller left, there was no time left to call, or it panicked.
func isInconclusive(err error) bool {
	var (
		status *exchange.StatusError
		answer *exchange.AnswerError
	)
	return err != nil && !exchange.IsOutage(err) && !errors.As(err, &status) && !errors.As(err, &answer)
}

func timedOut(err error) bool {
	var transport *exchange.TransportError
	return errors.As(err, &transport) && transport.Timeout
}
