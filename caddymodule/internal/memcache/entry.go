package memcache

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// maxVariants is the maximum number of variants per user. One more evicts the variant put
	// longest ago, so that a client that makes up variants cannot fill the memory.
	maxVariants = 8

	// maxLife is the maximum lifetime of a record. No token lifetime above it is
	// accepted, and beyond about 200 years Unix nanoseconds overflow.
	maxLife = 10 * 365 * 24 * time.Hour
)

// entry is a user with their kinds of token, the one put last first. Most users have
// one variant, so the first is embedded. The shard's lock protects the links of its list;
// the other fields are immutable.
type entry struct {
	user         exchange.UserKey
	older, newer *entry
	cachedToken
}

// cachedToken is one variant of a user's tokens: a Record in a smaller form. It embeds the
// Token instead of pointing to it, which saves one memory access.
type cachedToken struct {
	variant exchange.Variant
	until   int64           // Record.Until: Unix nanoseconds of the wall clock
	checked int64           // Record.CheckedAt, likewise
	err     *exchange.Error // set if it is a refusal; token is empty then
	next    *cachedToken
	token   exchange.Token
}

func newEntry(user exchange.UserKey, k *cachedToken) *entry {
	return &entry{user: user, cachedToken: *k}
}

// newCachedToken reports false if r must not be stored: it is expired or empty.
func newCachedToken(variant exchange.Variant, r exchange.Record, now time.Time) (*cachedToken, bool) {
	// Round strips the monotonic clock reading. The wall clock decides, because it
	// continues while the machine is suspended.
	life := min(r.Until.Round(0).Sub(now), maxLife)
	if life <= 0 || (r.Token == nil && r.Err == nil) {
		return nil, false
	}
	checked := r.CheckedAt
	if checked.IsZero() {
		checked = now
	}
	k := &cachedToken{variant: variant, err: r.Err, until: now.UnixNano() + int64(life), checked: checked.UnixNano()}
	if r.Err == nil {
		k.token = *r.Token
	}
	return k, true
}

func (k *cachedToken) record() exchange.Record {
	r := exchange.Record{Err: k.err, Until: time.Unix(0, k.until), CheckedAt: time.Unix(0, k.checked)}
	if k.err == nil {
		r.Token = &k.token
	}
	return r
}

// find returns the token of a variant, or nil.
func (e *entry) find(variant exchange.Variant) *cachedToken {
	for k := &e.cachedToken; k != nil; k = k.next {
		if k.variant == variant {
			return k
		}
	}
	return nil
}

// last returns when the last of the variants expires, in Unix nanoseconds.
func (e *entry) last() int64 {
	last := e.until
	for k := e.next; k != nil; k = k.next {
		last = max(last, k.until)
	}
	return last
}

// copyWithout returns a copy of the at most n newest variants that expire after now,
// without the given variant.
func (e *entry) copyWithout(variant exchange.Variant, n int, now int64) *cachedToken {
	return e.copyIf(n, func(k *cachedToken) bool { return k.variant != variant && k.until > now })
}

// copyIf returns a copy of the at most n newest variants for which ok returns true. It
// copies, because a reference into e would retain all of e in memory.
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
