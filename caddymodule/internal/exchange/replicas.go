package exchange

import (
	"context"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// maxSkew is the maximum difference between the clocks of two replicas. A record of
// another replica may be dated that far in the future.
const maxSkew = 30 * time.Second

// stored looks up the result of another replica in the shared store and makes it the
// result of the flight. In any case, seen is the tombstone to pass to Put. A flight
// with Force uses only seen.
//
// A record in memory that is older than maxStale is returned again only if the store
// still has one. If the store has none, a new exchange decides: the user was evicted at
// another replica, the record has expired, or the store has lost it. If the store
// cannot be read, the record in memory is used.
func (e *Engine) stored(ctx context.Context, f *flight, user UserKey, p *Policy) (seen Tombstone, found bool) {
	if p.Shared == nil {
		return seen, false
	}
	defer func() { _ = recover() }() // a store that panics costs a call to the service
	ctx, span := tracing.Start(ctx, "read from the shared store")
	defer span.End()
	rec, ok, seen, err := p.Shared.Get(ctx, user, f.variant)
	rec.CheckedAt = time.Now()
	ok = ok && err == nil && p.isValid(rec)
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.evicted || !f.forcedAt.IsZero() {
		return seen, false
	}
	if old, isOld := p.stale(user, f.variant); isOld {
		switch {
		case err != nil:
			rec, ok = old, true
		case !ok, rec.isBefore(old): // the store did not get the newer record
			p.Cache.Put(user, f.variant, Record{})
			ok = false
		}
	}
	if !ok || e.evictions.isBefore(user, rec) {
		return seen, false
	}
	f.stored = &rec
	f.result = result(rec)
	return seen, true
}

// stale returns the record in memory that must be checked against the shared store, if
// it is otherwise valid for this handler.
func (p *Policy) stale(user UserKey, variant Variant) (rec Record, ok bool) {
	if p.Cache == nil {
		return rec, false
	}
	now := time.Now()
	rec, ok = p.Cache.Get(user, variant, now)
	return rec, ok && rec.isStale(now) && p.isFresh(rec, now) && p.allowsError(rec.error())
}

// isStale reports whether a cached record must be looked up in the shared store before
// it is returned again. A record that is never written to the shared store is not
// stale. A record with CheckedAt in the future is stale: the clock was set back.
func (r Record) isStale(now time.Time) bool {
	age := now.Sub(r.CheckedAt)
	return (age < 0 || age >= maxStale) && (r.Err == nil || r.Err.isRefusal())
}

// isBefore reports whether both records are tokens and r is the older one.
func (r Record) isBefore(other Record) bool {
	return r.Token != nil && other.Token != nil && r.Token.IssuedAt().Before(other.Token.IssuedAt())
}

// isValid reports whether a record of another replica is valid for this handler.
func (p *Policy) isValid(rec Record) bool {
	ttl := p.TTL
	if rec.Err != nil {
		ttl = p.NegativeTTL
	}
	now := time.Now()
	age := rec.age(now)
	return age > -maxSkew && age < ttl && now.Before(rec.Until) && p.allowsError(rec.error())
}

// Stored returns the token of a user that another replica has stored. It returns nil if
// there is no valid one, or if the store fails. p.Shared must not be nil.
func (e *Engine) Stored(ctx context.Context, user UserKey, variant Variant, p *Policy) *Token {
	rec, ok, _, err := p.Shared.Get(ctx, user, variant)
	if err != nil || !ok || !p.isValid(rec) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.evictions.isBefore(user, rec) {
		return nil
	}
	return rec.Token
}

// share writes the result of the flight to the shared store. It must run before any
// caller gets the result, because a client may send its next request to another
// replica.
func (e *Engine) share(ctx context.Context, f *flight, user UserKey, p *Policy, seen Tombstone) {
	if p.Shared == nil {
		return
	}
	defer func() { _ = recover() }() // a store that panics costs a call to the service
	rec, ok := p.record(f.result, time.Now())
	if !ok || rec.Err != nil && !rec.Err.isRefusal() {
		return
	}
	ctx, span := tracing.Start(ctx, "write to the shared store")
	defer span.End()
	e.mu.Lock()
	forcedAt, evicted := f.forcedAt, f.isEvicted()
	e.mu.Unlock()
	if evicted { // by this replica, which may have failed to notify the store
		return
	}
	current, err := p.Shared.Put(ctx, user, f.variant, rec, seen, !forcedAt.IsZero())
	if err == nil && !current { // another replica has evicted the user
		e.mu.Lock()
		f.evicted = true
		e.mu.Unlock()
	}
}
