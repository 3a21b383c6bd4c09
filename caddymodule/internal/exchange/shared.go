package exchange

import (
	"context"
	"errors"
	"time"
)

// ErrDown is wrapped by the errors of a shared store that is known not to be
// usable at the moment: the operation was not tried and took no time.
var ErrDown = errors.New("the shared store is down")

// EvictedFor is for how long an eviction is remembered: longer than any exchange
// that began before it.
const EvictedFor = 15 * time.Minute

// maxStale is how old a token in memory may be before it is looked up in the
// shared store again: so much later an eviction at another replica takes effect
// here if its message was lost.
const maxStale = time.Minute

// SharedStore is the store of one account that all replicas share. It lies behind
// each replica's own memory. A miss is a value, a broken store is an error, and
// a broken store only costs a call: nothing of what it answers is needed for a
// token.
//
// An operation takes at most the store's own timeout, also if its context has
// no end, and is not cut short by it: the context decides whether it begins.
type SharedStore interface {
	// Up reports whether the store can be used, as far as is known. It makes no
	// call.
	Up() bool

	// Get returns what is kept and still good now, in one round trip, and what
	// Put has to be given. With an error seen may be given to Put all the same.
	Get(ctx context.Context, user UserKey, kind Kind) (rec Record, found bool, seen Tombstone, err error)

	// Put keeps rec until rec.Until, in place of what was kept, unless the user
	// was evicted since seen: without an error current says whether not, and if
	// it is false rec belongs into no memory either. One that is not in the future
	// is not kept, and what it replaces is gone all the same. It is an error to
	// put a failure that is not a refusal.
	//
	// With replaces, the other replicas drop what they have of this user in
	// memory: rec is there because what they have is no good.
	Put(ctx context.Context, user UserKey, kind Kind, rec Record, seen Tombstone, replaces bool) (current bool, err error)

	// Evict drops all kinds of a user, and tells all replicas. What was seen before
	// cannot be put any more. With an error the other replicas may not know. It is
	// tried also if the store is down: one that takes no writes may still drop.
	Evict(ctx context.Context, user UserKey) error

	// Flush drops everything of the account, and tells all replicas. It visits
	// every key of the store and takes as long as ctx lets it.
	Flush(ctx context.Context) error
}

// Tombstone is what is left of an evicted user in a SharedStore, for EvictedFor:
// another one after each eviction. It is empty for a user who was not evicted.
type Tombstone string

// Member is what an account has of a store that replicas share.
type Member struct {
	Store SharedStore
	Locks SignUpLocks

	// Start connects in the background. Until then the store is down.
	Start func()
}

// SignUpLocks are the locks of users of one service who are being signed up, so
// that of several replicas one does it. A lock ends by itself, also if its
// replica died. Without them, as while the store is down, the service's refusal of
// a second account is what is left.
type SignUpLocks interface {
	// Lock takes the lock of a user for the given time, if it is free. With an
	// error nobody knows whose it is; what came with it has to be released all the
	// same.
	Lock(ctx context.Context, user UserKey, life time.Duration) (SignUpLock, error)

	// Peek is for those who wait: it returns the lock as it is, and takes none.
	Peek(ctx context.Context, user UserKey) (SignUpLock, error)

	// Release says how the sign-up ended that a lock was taken for. It does nothing
	// to a lock of somebody else, except that a user who exists does exist, for
	// the given time.
	Release(ctx context.Context, user UserKey, lock SignUpLock, end SignUpEnd, life time.Duration) error

	// Unhold ends the hold of a user, if there is one.
	Unhold(ctx context.Context, user UserKey) error
}

// SignUpLock is the lock of a user.
type SignUpLock struct {
	State SignUpState
	ID    string // of one that is the caller's; empty if it was not even asked for
}

// SignUpState is how far the sign-up of a user is.
type SignUpState uint8

// The states of a sign-up.
const (
	SignUpFree    SignUpState = iota // there is none
	SignUpOurs                       // it is the caller's to send
	SignUpRunning                    // somebody else's runs, or their replica died
	SignUpDone                       // the user exists: sign in
	SignUpHeld                       // it had an unclear end: only sign-in may decide
)

// SignUpEnd is how a sign-up ended. The zero value says that the service has
// definitely not created the user.
type SignUpEnd struct {
	Exists bool          // the user is known to exist, whoever created them
	Hold   time.Duration // without Exists: the end is unclear, nobody signs the user up for so long
}
