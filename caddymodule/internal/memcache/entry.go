package memcache

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// maxKinds is how many kinds are kept per user. One more drops the one
	// put longest ago: whoever can make up kinds cannot fill the memory.
	maxKinds = 8

	// maxLife is the longest anything is kept, whatever it says of itself. No
	// token is believed to live longer, and beyond some 200 years Unix
	// nanoseconds overflow.
	maxLife = 10 * 365 * 24 * time.Hour
)

// entry is a user with their kinds of token, the one put last first. Most
// users have one kind, so the first is part of the entry. The links belong to
// the shard's list and its lock; the rest does not change.
type entry struct {
	user         exchange.UserKey
	older, newer *entry
	cachedToken
}

// cachedToken is one kind of a user's tokens. It is a Record in a smaller form, with
// the grant in it instead of behind a pointer: one wait for memory less.
type cachedToken struct {
	kind    exchange.Kind
	until   int64           // the last moment at which it may be handed out: Unix nanoseconds of the wall clock
	checked int64           // Record.CheckedAt, likewise
	err     *exchange.Error // if it is a refusal; there is no grant then
	next    *cachedToken
	grant   exchange.Grant
}

func newEntry(user exchange.UserKey, k *cachedToken) *entry {
	return &entry{user: user, cachedToken: *k}
}

// newCachedToken reports false if r is nothing to keep: it is over, or empty.
func newCachedToken(kind exchange.Kind, r exchange.Record, now time.Time) (*cachedToken, bool) {
	// Round strips the monotonic reading: what counts is the wall clock, which
	// runs on while a machine sleeps.
	life := min(r.Until.Round(0).Sub(now), maxLife)
	if life <= 0 || (r.Grant == nil && r.Err == nil) {
		return nil, false
	}
	checked := r.CheckedAt
	if checked.IsZero() {
		checked = now
	}
	k := &cachedToken{kind: kind, err: r.Err, until: now.UnixNano() + int64(life), checked: checked.UnixNano()}
	if r.Err == nil {
		k.grant = *r.Grant
	}
	return k, true
}

func (k *cachedToken) record() exchange.Record {
	r := exchange.Record{Err: k.err, Until: time.Unix(0, k.until), CheckedAt: time.Unix(0, k.checked)}
	if k.err == nil {
		r.Grant = &k.grant
	}
	return r
}

// find returns the kind, or nil.
func (e *entry) find(kind exchange.Kind) *cachedToken {
	for k := &e.cachedToken; k != nil; k = k.next {
		if k.kind == kind {
			return k
		}
	}
	return nil
}

// last is when the last of the kinds ends.
func (e *entry) last() int64 {
	last := e.until
	for k := e.next; k != nil; k = k.next {
		last = max(last, k.until)
	}
	return last
}

// copyWithout returns a copy of the at most n newest kinds that are good beyond
// now, without the one named.
func (e *entry) copyWithout(kind exchange.Kind, n int, now int64) *cachedToken {
	return e.copyIf(n, func(k *cachedToken) bool { return k.kind != kind && k.until > now })
}

// copyIf returns a copy of the at most n newest kinds for which ok holds. It is
// a copy because a reference into e would keep all of e in memory.
func (e *entry) copyIf(n int, ok func(*cachedToken) bool) *cachedToken {
	var first *cachedToken
	end := &first
	for k := &e.cachedToken; k != nil && n > 0; k = k.next {
		if !ok(k) {
			continue
		}
		c := *k
		c.next = nil
		*end, end = &c, &c.next
		n--
	}
	return first
}
