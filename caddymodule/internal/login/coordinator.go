package login

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// peekInterval is how often a replica checks whether the sign-up of another replica
	// has ended. It is shorter than a sign-up takes.
	peekInterval = 50 * time.Millisecond

	// lockMargin is how much longer than an exchange a lock lasts. When another replica
	// takes the lock after it has expired, the sign-up of the previous holder is not
	// sent any more.
	lockMargin = 5 * time.Second
)

// Coordinator makes sure that only one replica signs a user up. One Coordinator may
// serve several exchanges of a user, one after the other.
type Coordinator struct {
	Locks   exchange.SignUpLocks
	User    exchange.UserKey // identifies the user in Locks: the same in all replicas
	Timeout time.Duration    // of an exchange

	// Stored returns the token of this user and variant that another replica has stored,
	// or nil if there is none.
	Stored func(ctx context.Context) *exchange.Token
}

// lockResult says which replica may sign a user up, and what the others have done.
type lockResult struct {
	acquired bool            // this replica may send the sign-up
	exists   bool            // another replica has created the user
	held     bool            // no replica may: the last sign-up had an unclear end, and sign-in has just been tried
	token    *exchange.Token // the token from the exchange of another replica

	lock  exchange.SignUpLock
	since time.Time // just before the lock was taken
}

var errLockEnded = errors.New("sign-up not sent: the sign-up lock has expired, and another replica may hold it")

// take acquires the right to sign a user up, over all replicas. While another replica
// signs the user up, take waits for the end. If the store does not respond, this
// replica may sign the user up.
func (r *Coordinator) take(ctx context.Context) (t lockResult) {
	if r == nil {
		return lockResult{acquired: true}
	}
	for {
		var err error
		t.since = time.Now()
		t.lock, err = r.Locks.Lock(ctx, r.User, r.Timeout+lockMargin)
		switch {
		case err != nil, t.lock.State == exchange.SignUpAcquired:
			t.acquired = true
			return t
		case t.lock.State == exchange.SignUpHeld:
			t.held = true
			return t
		}
		if again := r.wait(ctx, &t); !again {
			return t
		}
	}
}

// wait waits until the sign-up of another replica has ended. It waits for half of the
// remaining time; the other half is for a sign-in. It returns true if the sign-up has
// ended without creating a user.
func (r *Coordinator) wait(ctx context.Context, t *lockResult) (again bool) {
	patience := r.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline)
	}
	tooLong := time.NewTimer(patience / 2)
	defer tooLong.Stop()
	peek := time.NewTicker(peekInterval)
	defer peek.Stop()
	for {
		lock, err := r.Locks.Peek(ctx, r.User)
		if t.token = r.Stored(ctx); t.token != nil {
			return false
		}
		switch {
		case err != nil, lock.State == exchange.SignUpHeld:
			return false
		case lock.State == exchange.SignUpDone:
			t.exists = true
			return false
		case lock.State == exchange.SignUpFree:
			return true
		}
		select {
		case <-peek.C:
		case <-tooLong.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// isOver reports whether the sign-up must not be sent any more: more than Timeout has
// passed since the lock was taken, so another replica may hold it by now. That happens
// if the process was suspended for a while, for example.
func (r *Coordinator) isOver(t lockResult) bool { return r != nil && time.Since(t.since) > r.Timeout }

// release tells the other replicas how the sign-up ended. It does not use the context
// of the exchange, which may have ended. The store has its own timeout.
func (r *Coordinator) release(t lockResult, end exchange.SignUpEnd) {
	if r != nil && t.lock.ID != "" {
		_ = r.Locks.Release(context.Background(), r.User, t.lock, end, max(r.Timeout+lockMargin, end.Hold))
	}
}
