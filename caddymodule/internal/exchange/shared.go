package exchange

import (
	"context"
	"errors"
	"time"
)

// ErrDown is wrapped by the errors of a shared store that is known to be unusable. The
// operation was not tried and took no time.
var ErrDown = errors.New("shared store unavailable")

// EvictedFor is how long an eviction is remembered: longer than any exchange lasts that
// began before it.
const EvictedFor = 15 * time.Minute

// maxStale is the maximum age of a token in memory before it is looked up in the shared
// store again. If the message about an eviction at another replica was lost, the
// eviction takes effect after this time.
const maxStale = time.Minute

// SharedStore is the store of one account that all replicas share. It is behind the
// memory cache of each replica. A miss is a value; an error means that the store
// failed. No token depends on the store: a failure only costs a call to the service.
//
// An operation takes at most the store's own timeout, even if its context has no
// deadline. The context decides only whether an operation starts; it does not interrupt
// one.
type SharedStore interface {
	// Up reports whether the store can be used, according to the last known state. It
	// makes no call.
	Up() bool

	// Get returns the record that is stored and still valid, in one round trip. Pass
	// seen to Put; that is allowed even if Get returned an error.
	Get(ctx context.Context, user UserKey, variant Variant) (rec Record, found bool, seen Tombstone, err error)

	// Put stores rec until rec.Until in place of the previous record, unless the user
	// was evicted since seen. If err is nil, current reports whether the user was not
	// evicted; if current is false, do not cache rec in memory either. If rec.Until is
	// not in the future, rec is not stored, and the previous record is deleted all the
	// same. It is an error to put a failure that is not a refusal.
	//
	// With replaces, the other replicas drop the tokens of this user from memory,
	// because rec replaces a token that was no longer accepted.
	Put(ctx context.Context, user UserKey, variant Variant, rec Record, seen Tombstone, replaces bool) (current bool, err error)

	// Evict drops all variants of a user and notifies all replicas. A tombstone that was
	// read before is no longer accepted by Put. If Evict returns an error, the other
	// replicas may not have been notified. It is tried even if the store is down: a
	// store that accepts no writes may still delete.
	Evict(ctx context.Context, user UserKey) error

	// Flush drops everything of the account and notifies all replicas. It visits every
	// key of the store. Only ctx limits its duration.
	Flush(ctx context.Context) error
}

// Tombstone identifies the last eviction of a user in a SharedStore. It changes with
// each eviction and is stored for EvictedFor. It is empty for a user who was not
// evicted.
type Tombstone string

// Member is the access of one account to a store that replicas share.
type Member struct {
	Store SharedStore
	Locks SignUpLocks

	// Start connects in the background. Until it is called, the store is down.
	Start func()
}

// SignUpLocks are locks on the users of one service, so that only one replica signs a
// user up. A lock expires, also if its replica died. Without locks, for example while
// the store is down, only the service itself prevents a second account.
type SignUpLocks interface {
	// Lock takes the lock of a user for the given time, if it is free. If it returns an
	// error, the owner of the lock is unknown; release the returned lock all the same.
	Lock(ctx context.Context, user UserKey, life time.Duration) (SignUpLock, error)

	// Peek returns the current lock of a user without taking it. Callers poll it while
	// they wait.
	Peek(ctx context.Context, user UserKey) (SignUpLock, error)

	// Release records how the sign-up ended for which the lock was taken. It does not
	// change the lock of another replica, with one exception: end.Exists is recorded in
	// any case, for the given time.
	Release(ctx context.Context, user UserKey, lock SignUpLock, end SignUpEnd, life time.Duration) error

	// Unhold ends the hold of a user, if there is one.
	Unhold(ctx context.Context, user UserKey) error
}

// SignUpLock is the lock of a user.
type SignUpLock struct {
	State SignUpState
	ID    string // identifies the caller's lock; empty if the caller has none, or if it was not requested
}

// SignUpState is the state of a user's sign-up.
type SignUpState uint8

// The states of a sign-up.
const (
	SignUpFree     SignUpState = iota // there is no sign-up
	SignUpAcquired                    // the caller has the lock and may send the sign-up
	SignUpRunning                     // another caller has the lock; its replica may have died
	SignUpDone                        // the user exists: sign in
	SignUpHeld                        // the sign-up had an unclear end: only sign-in may decide
)

// SignUpEnd is the result of a sign-up. The zero value means that the service has
// definitely not created the user.
type SignUpEnd struct {
	Exists bool          // the user is known to exist, no matter who created the account
	Hold   time.Duration // only without Exists: the end is unclear; no sign-up is sent for this time
}
