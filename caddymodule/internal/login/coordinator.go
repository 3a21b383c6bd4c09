package login

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// peekInterval is how often a replica looks whether the sign-up of another one
	// has ended: less than what a sign-up takes.
	peekInterval = 50 * time.Millisecond

	// lockMargin is how much longer than an exchange a lock lasts: a replica that
	// takes the next one can be sure that the last one's sign-up is not sent any
	// more.
	lockMargin = 5 * time.Second
)

// Coordinator is what an Exchange needs to leave a sign-up to another replica. The
// same may serve several exchanges of a user, one after the other.
type Coordinator struct {
	Locks   exchange.SignUpLocks
	User    exchange.UserKey // names the user in Locks: the same in all replicas
	Timeout time.Duration    // of an exchange

	// Stored returns the token of this user and kind that another replica has
	// stored; nil if there is none.
	Stored func(ctx context.Context) *exchange.Grant
}

// signUpTurn is whose turn it is to sign a user up.
type signUpTurn struct {
	ours   bool            // send it
	exists bool            // another replica's has created the user
	held   bool            // nobody's: the last one had an unclear end, and sign-in has just been tried
	grant  *exchange.Grant // what another replica's exchange has come to

	lock  exchange.SignUpLock
	since time.Time // just before the lock was taken
}

var errLockEnded = errors.New("the sign-up was not sent: another replica may begin one by now")

// take asks all replicas for the right to sign a user up. While another one
// does, it waits for its end. Without a store that answers the right is ours.
func (r *Coordinator) take(ctx context.Context) (t signUpTurn) {
	if r == nil {
		return signUpTurn{ours: true}
	}
	for {
		var err error
		t.since = time.Now()
		t.lock, err = r.Locks.Lock(ctx, r.User, r.Timeout+lockMargin)
		switch {
		case err != nil, t.lock.State == exchange.SignUpOurs:
			t.ours = true
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

// wait waits for the end of another replica's sign-up, for half of the time
// that is left: the other half is for a sign-in. It returns true if the sign-up
// has ended without a user.
func (r *Coordinator) wait(ctx context.Context, t *signUpTurn) (again bool) {
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
		if t.grant = r.Stored(ctx); t.grant != nil {
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

// isOver reports whether the lock may be another replica's by now: a process
// that was stopped for a while, say, must not send the sign-up any more.
func (r *Coordinator) isOver(t signUpTurn) bool { return r != nil && time.Since(t.since) > r.Timeout }

// release tells the other replicas how our sign-up ended. It does not take the
// exchange's context, which may be over by now: the store has its own timeout.
func (r *Coordinator) release(t signUpTurn, end exchange.SignUpEnd) {
	if r != nil && t.lock.ID != "" {
		_ = r.Locks.Release(context.Background(), r.User, t.lock, end, max(r.Timeout+lockMargin, end.Hold))
	}
}
