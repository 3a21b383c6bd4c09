package exchange

import "time"

// UserKey names a user of one account in stores: a keyed hash, from which no
// address can be read.
type UserKey string

// Kind is a kind of token of one user: the client type and whatever `vary`
// tells apart.
type Kind string

// Record is what is kept for one user and kind: a grant, or a refusal.
type Record struct {
	Grant *Grant
	Err   *Error    // a refusal that may be repeated; nil if Grant is set
	Until time.Time // the last moment at which it may be handed out

	// CheckedAt is when it was known last that a store which replicas share has it,
	// too. Put takes the moment for it if it is zero.
	CheckedAt time.Time
}

// Store keeps records. A miss is a value, never an error.
type Store interface {
	// Get returns what is kept and still good now, which the caller knows: on the
	// way of a hit every look at the clock counts.
	Get(user UserKey, kind Kind, now time.Time) (Record, bool)
	// Put keeps r until r.Until, in place of what was kept. One that is not in
	// the future is not kept, and what it replaces is gone all the same.
	Put(UserKey, Kind, Record)
	Forgetter
}

// Forgetter can be made to forget.
type Forgetter interface {
	// Forget drops all that is kept of a user, refusals too.
	Forget(UserKey)
	// ForgetTokens drops the tokens of a user, of all kinds.
	ForgetTokens(UserKey)
	// Flush drops everything.
	Flush()
}
