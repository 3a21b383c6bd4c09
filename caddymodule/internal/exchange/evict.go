package exchange

import (
	"context"
	"time"
)

// Evict drops the tokens of a user at all replicas that share the store, and with
// refusals what they were refused, here. With an error the other replicas may go on
// handing out what they have in memory or find in the store; this one does not.
func (e *Engine) Evict(ctx context.Context, user UserKey, shared SharedStore, refusals bool) (err error) {
	if shared != nil {
		err = shared.Evict(ctx, user)
		e.mu.Lock()
		e.evictions.add(user, err != nil, time.Now())
		e.mu.Unlock()
	}
	if refusals {
		e.Forget(user)
	} else {
		e.ForgetTokens(user)
	}
	return err
}

// Forget drops all that is cached of a user, refusals too. What runs for them
// is not cached either.
func (e *Engine) Forget(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(true)
	}
	for _, s := range e.caches {
		s.Forget(user)
	}
}

// ForgetTokens drops the cached tokens of a user. Refusals stay: a user cannot
// have the service called again and again by it.
func (e *Engine) ForgetTokens(user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.users[user]; u != nil {
		u.evict(false)
	}
	for _, s := range e.caches {
		s.ForgetTokens(user)
	}
}

// Flush drops all that is cached of all users, and what runs is not cached
// either.
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

// evict marks what runs as from before.
func (u *userExchanges) evict(all bool) {
	for _, f := range u.flights {
		f.evicted, f.evictedAll = true, f.evictedAll || all
	}
}

// maxEvictions bounds evictions: some 10 MB. Beyond it the store alone knows.
const maxEvictions = 100_000

// untoldFor is for how long an eviction is remembered that the shared store does not
// know of: longer than tokens are kept there.
const untoldFor = 30 * 24 * time.Hour

// evictions are the users who were evicted here. A shared store must not bring their
// tokens back: it may have been down at that moment, or have lost the eviction since.
type evictions map[UserKey]eviction

// eviction is until when tokens were issued that are evicted, and for how long that
// is remembered.
type eviction struct{ at, end time.Time }

// add notes an eviction. If the store does not know of it, tokens of a replica
// whose clock is ahead have to be counted to those before.
func (e evictions) add(user UserKey, untold bool, now time.Time) {
	const atOnce = 8 // each new one pays for a look at a few old ones
	looked := 0
	for u, old := range e {
		if now.After(old.end) {
			delete(e, u)
		}
		if looked++; looked == atOnce {
			break
		}
	}
	this := eviction{at: now, end: now.Add(EvictedFor)}
	if untold {
		this = eviction{at: now.Add(maxSkew), end: now.Add(untoldFor)}
	}
	if _, again := e[user]; again || len(e) < maxEvictions {
		e[user] = this
	}
}

// isBefore reports whether a token is from before the eviction of its user.
func (e evictions) isBefore(user UserKey, rec Record) bool {
	this, ok := e[user]
	return ok && rec.Grant != nil && rec.Grant.Minted().Before(this.at)
}
