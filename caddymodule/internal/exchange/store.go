package exchange

import "time"

// UserKey identifies a user of one account in stores. It is a keyed hash: the user's
// address cannot be read from it.
type UserKey string

// Variant identifies a kind of token of one user: the client type and the values that the
// option `vary` distinguishes.
type Variant string

// Record is the entry of a store for one user and variant: a token or a refusal.
type Record struct {
	Token *Token
	Err   *Error    // a refusal that may be repeated; nil if Token is set
	Until time.Time // the last time at which the record may be returned

	// CheckedAt is when the record was last known to be in the shared store as well. If
	// it is zero, Put sets it to the current time.
	CheckedAt time.Time
}

// Store stores records. A miss is a value, never an error.
type Store interface {
	// Get returns the record that is stored and still valid at now. The caller passes
	// the time, because each reading of the clock slows down a cache hit.
	Get(user UserKey, variant Variant, now time.Time) (Record, bool)
	// Put stores r until r.Until in place of the previous record. If r.Until is not in
	// the future, r is not stored, and the previous record is deleted all the same.
	Put(UserKey, Variant, Record)
	Invalidator
}

// Invalidator drops cached records.
type Invalidator interface {
	// Evict drops all records of a user, including refusals.
	Evict(UserKey)
	// EvictTokens drops the tokens of a user, of all variants.
	EvictTokens(UserKey)
	// Flush drops everything.
	Flush()
}
