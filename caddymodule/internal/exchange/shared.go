package exchange

import (
	"context"
	"errors"
	"time"
)

// ErrDown is wrapped by the errors of a shared store that is known not to be
// usable at the moment: the operation was not tried and took no time.
var ErrDown = errors.New("the shared store is down")

// ForgottenFor is for how long a Shared remembers at least that a user was
// forgotten: longer than any exchange that began before.
const ForgottenFor = 15 * time.Minute

// Shared is the store of one account that all replicas share. It lies behind
// each replica's own memory. A miss is a value, a broken store is an error, and
// a broken store only costs a call: nothing of what it answers is needed for a
// token.
//
// An operation takes at most the store's own timeout, also if its context has
// no end, and is not cut short by it: the context decides whether it begins.
type Shared interface {
	// Get returns what is kept and still good now, in one round trip, and what
	// Put has to be given. With an error seen may be given to Put all the same.
	Get(ctx context.Context, user UserKey, kind Kind) (rec Record, found bool, seen Generation, err error)

	// Put keeps rec until rec.Until, in place of what was kept, unless the user
	// was forgotten since seen: without an error current says whether not, and
	// if it is false rec belongs into no memory either. One that is not in the
	// future is not kept, and what it replaces is gone all the same. It is an
	// error to put a failure that is not a refusal.
	//
	// With news, the other replicas drop what they have of this user in memory:
	// rec is there because what they have is no good.
	Put(ctx context.Context, user UserKey, kind Kind, rec Record, seen Generation, news bool) (current bool, err error)

	// Forget drops all kinds of a user, and tells all replicas. What was seen
	// before cannot be put any more. With an error that was not done yet: it is
	// made up for when the store can be used again, and until then this replica
	// finds nothing of the user.
	Forget(ctx context.Context, user UserKey) error

	// Flush drops everything of the account, and tells all replicas. It visits
	// every key of the store and takes as long as ctx lets it.
	Flush(ctx context.Context) error
}

// Member is what an account has of a store that replicas share.
type Member struct {
	Shared  Shared
	SignUps SignUps

	// Start connects in the background. Until then the store is down.
	Start func()

	// Up reports whether the store serves everything, as far as is known. It
	// makes no call.
	Up func() bool
}

// Generation is the state of a user in a Shared at the time of a Get. It is to
// be handed on and not to be looked at.
type Generation struct {
	Mark    string // changes whenever the user is forgotten; empty if that was not so within ForgottenFor
	Flushes uint64 // changes whenever the account is flushed, as far as this replica knows
}

// SignUps makes sure that a user of one service is signed up at most once over
// all replicas. It holds a marker for each user whose sign-up runs, has created
// the user, or had an unclear end. Markers end by themselves: also one whose
// replica died, of which nobody can tell any more whether the user was created.
type SignUps interface {
	// Claim asks for the right to send one sign-up for a user, just before it
	// is sent. With an error nobody knows whose the right is; the Claim that
	// came with it has to be settled all the same, whether or not its owner
	// signs the user up.
	Claim(ctx context.Context, user UserKey) (Claim, error)

	// Settle says how the sign-up ended that a Claim was for. It does nothing
	// to the marker of another Claim, except that a user who exists does exist.
	// With an error that was not done yet, and is made up for.
	Settle(ctx context.Context, user UserKey, claim Claim, end SignUpEnd) error

	// Look is for those who wait: Claim without asking for anything. Its State
	// is never SignUpOurs.
	Look(ctx context.Context, user UserKey) (Claim, error)
}

// Claim is what SignUps knows about the sign-up of a user.
type Claim struct {
	State SignUpState
	Left  time.Duration // how long the State lasts if nobody settles it; 0 for SignUpNone
	ID    string        // which Claim it is; for Settle. Empty with ErrDown: it was not even asked for
}

// SignUpState is how far the sign-up of a user is.
type SignUpState uint8

// The states of a sign-up.
const (
	SignUpNone    SignUpState = iota // there is none
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
