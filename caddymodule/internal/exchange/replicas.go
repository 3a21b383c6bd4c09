package exchange

import (
	"context"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// maxSkew is how far the clocks of two replicas may be apart. What another one
// has stored may look as if it came from the future by so much.
const maxSkew = 30 * time.Second

// stored looks for what another replica has fetched, and makes it the result of
// the flight. Otherwise seen is what Put has to be given. A flight past the cache
// needs that alone.
//
// A record in memory that is older than maxStale is handed out again only if the
// store still has one. Of a user whom the store does not have any more an exchange
// decides: they were evicted elsewhere, or it is over, or the store has lost it.
// While the store cannot be asked, memory is all there is.
func (e *Engine) stored(ctx context.Context, f *flight, user UserKey, p *Policy) (seen Tombstone, found bool) {
	if p.Shared == nil {
		return seen, false
	}
	defer func() { _ = recover() }() // a store that panics costs a call
	ctx, span := tracing.Start(ctx, "read from the shared store")
	defer span.End()
	rec, ok, seen, err := p.Shared.Get(ctx, user, f.kind)
	rec.CheckedAt = time.Now()
	ok = ok && err == nil && p.believes(rec)
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.evicted || !f.fresh.IsZero() {
		return seen, false
	}
	if old, isOld := p.stale(user, f.kind); isOld {
		switch {
		case err != nil:
			rec, ok = old, true
		case !ok, rec.isBefore(old): // the store was not told of the newer one
			p.Cache.Put(user, f.kind, Record{})
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

// stale is the record in memory that has to be looked up again, if it may be
// handed out otherwise.
func (p *Policy) stale(user UserKey, kind Kind) (rec Record, ok bool) {
	if p.Cache == nil {
		return rec, false
	}
	now := time.Now()
	rec, ok = p.Cache.Get(user, kind, now)
	return rec, ok && rec.isStale(now) && p.inTime(rec, now) && p.accepts(rec.error())
}

// isStale reports whether a record of the cache has to be looked up in the shared
// store before it is handed out again. What no store has is not stale. What was
// checked in the future is: the clock was set back.
func (r Record) isStale(now time.Time) bool {
	age := now.Sub(r.CheckedAt)
	return (age < 0 || age >= maxStale) && (r.Err == nil || r.Err.isRefusal())
}

// isBefore reports whether both are tokens, and this is the older one.
func (r Record) isBefore(other Record) bool {
	return r.Grant != nil && other.Grant != nil && r.Grant.Minted().Before(other.Grant.Minted())
}

// believes reports whether a record of another replica may be handed out.
func (p *Policy) believes(rec Record) bool {
	keepFor := p.TTL
	if rec.Err != nil {
		keepFor = p.NegativeTTL
	}
	now := time.Now()
	age := rec.age(now)
	return age > -maxSkew && age < keepFor && now.Before(rec.Until) && p.accepts(rec.error())
}

// Stored returns the token that another replica has stored for a user, nil if
// there is none that may be handed out.
func (e *Engine) Stored(ctx context.Context, user UserKey, kind Kind, p *Policy) *Grant {
	rec, ok, _, err := p.Shared.Get(ctx, user, kind)
	if err != nil || !ok || !p.believes(rec) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.evictions.isBefore(user, rec) {
		return nil
	}
	return rec.Grant
}

// share hands the result of the flight to the other replicas. It comes before
// anybody is answered: whoever is, may ask another replica next.
func (e *Engine) share(ctx context.Context, f *flight, user UserKey, p *Policy, seen Tombstone) {
	if p.Shared == nil {
		return
	}
	defer func() { _ = recover() }() // a store that panics costs a call
	rec, ok := p.record(f.result, time.Now())
	if !ok || rec.Err != nil && !rec.Err.isRefusal() {
		return
	}
	ctx, span := tracing.Start(ctx, "write to the shared store")
	defer span.End()
	e.mu.Lock()
	fresh, evicted := f.fresh, f.isEvicted()
	e.mu.Unlock()
	if evicted { // by this replica, which could not tell the store perhaps
		return
	}
	kept, err := p.Shared.Put(ctx, user, f.kind, rec, seen, !fresh.IsZero())
	if err == nil && !kept { // the user was evicted, at another replica
		e.mu.Lock()
		f.evicted = true
		e.mu.Unlock()
	}
}
