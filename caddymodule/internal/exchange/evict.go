package exchange

import (
	"context"
	"time"
)

// EvictEverywhere drops the tokens of a user in all replicas that share the store. If refusals is
// set, it also drops the refusals that this replica has cached. If shared is nil, there
// are no other replicas. If Evict returns an error, the other replicas may still
// respond with tokens from their memory or from the store; this replica does not.
func (e *Engine) EvictEverywhere(ctx context.Context, user UserKey, shared SharedStore, refusals bool) (err error) {
	if shared != nil {
		err = shared.Evict(ctx, user)
		e.mu.Lock()
		e.evictions.add(user, err != nil, time.Now())
		e.mu.Unlock()
	}
	if refusals {
		e.Evict(user)
	} else {
		e.EvictTokens(user)
	}
	return err
}

// Evict drops everything that is cached for a user, including refusals. The results of
// the user's running exchanges are not cached.
func (e *Engine) Evict(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(true)
	}
	for _, s := range e.caches {
		s.Evict(user)
	}
}

// EvictTokens drops the cached tokens of a user. It leaves refusals in the cache, so
// that a user cannot cause repeated calls to the service.
func (e *Engine) EvictTokens(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(false)
	}
	for _, s := range e.caches {
		s.EvictTokens(user)
	}
}

// Flush drops everything that is cached for all users. The results of running exchanges
// are not cached.
func (e *Engine) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, u := range e.users {
		u.evict(true)
	}
	for _, s := range e.caches {
		s.Flush()
	}
}

// evict marks the running exchanges of a user as older than the eviction.
func (u *userExchanges) evict(all bool) {
	for _, f := range u.flights {
		f.evicted, f.evictedAll = true, f.evictedAll || all
	}
}

// maxEvictions bounds the map of evictions to about 10 MB. If it is full, only the
// shared store remembers the evictions of further users.
const maxEvictions = 100_000

// localOnlyFor is how long an eviction is remembered that could not be written to the
// shared store: longer than tokens are stored there.
const localOnlyFor = 30 * 24 * time.Hour

// evictions are the users who were evicted at this replica. They prevent the shared
// store from bringing evicted tokens back: the store may have been down at the
// eviction, or may have lost it since.
type evictions map[UserKey]eviction

// eviction is the eviction of one user. Tokens issued before at are evicted. The entry
// may be deleted after end.
type eviction struct{ at, end time.Time }

// add remembers an eviction. localOnly says that the shared store does not know of it.
// Then tokens of a replica whose clock is ahead by up to maxSkew count as evicted, too.
func (e evictions) add(user UserKey, localOnly bool, now time.Time) {
	const atOnce = 8 // each call checks a few old entries
	checked := 0
	for u, old := range e {
		if now.After(old.end) {
			delete(e, u)
		}
		if checked++; checked == atOnce {
			break
		}
	}
	this := eviction{at: now, end: now.Add(EvictedFor)}
	if localOnly {
		this = eviction{at: now.Add(maxSkew), end: now.Add(localOnlyFor)}
	}
	if _, again := e[user]; again || len(e) < maxEvictions {
		e[user] = this
	}
}

// isBefore reports whether a token was issued before its user was evicted.
func (e evictions) isBefore(user UserKey, rec Record) bool {
	this, ok := e[user]
	return ok && rec.Token != nil && rec.Token.IssuedAt().Before(this.at)
}
