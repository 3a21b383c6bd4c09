package assertion

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

const (
	// refreshAfter is the age after which keys are fetched again on their next use.
	// Requests do not wait for this fetch.
	refreshAfter = 15 * time.Minute
	// retryAfter is the same after a failed fetch.
	retryAfter = time.Minute
	// maxIdle is the age after which keys are not used before they have been fetched
	// again. Keys reach it if no request used them, and one of them may have been
	// withdrawn.
	maxIdle = time.Hour
	// fetchTimeout is the timeout of one fetch.
	fetchTimeout = 5 * time.Second
)

// MinInterval is the minimum time between the starts of two fetches of the same URL. A
// client can trigger fetches with forged tokens, but not more often. Tests of other
// packages set a shorter one.
var MinInterval = 5 * time.Second

// keyCache caches the keys that one URL served last. If the key server is down, they
// remain valid without a time limit.
type keyCache struct {
	fetch func(context.Context) (*keySet, error)
	log   Log

	mu       sync.Mutex
	set      *keySet   // nil: no keys
	started  time.Time // start of the last fetch
	finished time.Time // end of the last fetch
	err      error     // result of the last fetch
	failed   bool      // the last fetch did not bring keys
	leftOut  string    // keySet.leftOut of the last response
	recheck  backoff
	running  chan struct{} // closed when the fetch ends; nil if none is running
}

// backoff limits the fetches because of wrong signatures under known key ids. Such tokens
// are mostly forged.
type backoff struct {
	running bool          // the last fetch was started for this reason
	delay   time.Duration // 0 after keys have changed
	next    time.Time     // no such fetch starts before
}

// maxRecheckDelay is the maximum of backoff.delay.
const maxRecheckDelay = 5 * time.Minute

// fetched updates b at the end of a fetch.
func (b *backoff) fetched(changed bool, now time.Time) {
	switch {
	case changed:
		*b = backoff{}
	case b.running:
		delay := min(max(2*b.delay, MinInterval), maxRecheckDelay)
		*b = backoff{delay: delay, next: now.Add(delay)}
	}
}

func (k *Keys) newKeyCache(fetch func(context.Context) (*keySet, error)) *keyCache {
	return &keyCache{fetch: fetch, log: k.log}
}

// prefetch starts a fetch if one is due. It does not wait for it.
func (c *keyCache) prefetch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.isDue(now) {
		c.start(now)
	}
}

// get returns the keys. It waits for a fetch if there are no keys yet, or if they are
// older than maxIdle. If that fetch fails, the cached keys are returned.
func (c *keyCache) get(ctx context.Context, w waiter) (*keySet, error) {
	c.mu.Lock()
	now := time.Now()
	if c.isDue(now) {
		c.start(now)
	}
	if c.running != nil && (c.set == nil || now.Sub(c.finished) > maxIdle) {
		running := c.running
		c.mu.Unlock()
		if err := w.wait(ctx, running); err != nil {
			return nil, err
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	switch {
	case c.set != nil:
		return c.set, nil
	case errors.Is(c.err, errNoKey):
		return nil, identity.ErrAssertionKey
	}
	return nil, identity.ErrKeysUnavailable
}

// newer returns keys that were fetched after stale, or nil if the last fetch brought no
// others. It waits for the fetch, which concurrent callers share. If no fetch is running
// and the last one started less than MinInterval ago, it does not wait. known says that
// stale has the key id of the token: then the fetches are also limited by backoff.
//
// If the last fetch failed and the key id is not known, it returns ErrKeysUnavailable: the
// key server may have newer keys.
func (c *keyCache) newer(ctx context.Context, w waiter, stale *keySet, known bool) (*keySet, error) {
	c.mu.Lock()
	if c.set == stale {
		if now := time.Now(); !known {
			c.start(now)
		} else if !now.Before(c.recheck.next) && c.start(now) {
			c.recheck.running = true
		}
		if running := c.running; running != nil {
			c.mu.Unlock()
			if err := w.wait(ctx, running); err != nil {
				return nil, err
			}
			c.mu.Lock()
		}
	}
	defer c.mu.Unlock()
	switch {
	case c.set != stale:
		return c.set, nil
	case c.failed && !known:
		return nil, identity.ErrKeysUnavailable
	}
	return nil, nil
}

// isEmpty reports whether there are no keys and no fetch is running.
func (c *keyCache) isEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set == nil && c.running == nil
}

// isRecent reports whether the last fetch started less than MinInterval ago.
func (c *keyCache) isRecent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.started) < MinInterval
}

// isDue reports whether a fetch is due. c.mu must be held.
func (c *keyCache) isDue(now time.Time) bool {
	age := now.Sub(c.finished)
	return c.set == nil || age > refreshAfter || c.err != nil && age > retryAfter
}

// start starts a fetch, unless one is running or the last one started less than
// MinInterval ago. It reports whether it did. c.mu must be held.
func (c *keyCache) start(now time.Time) bool {
	if c.running != nil || !c.started.IsZero() && now.Sub(c.started) < MinInterval {
		return false
	}
	c.started = now
	c.running = make(chan struct{})
	go c.run(c.running)
	return true
}

// run runs one fetch. It does not depend on the context of a request, so it continues
// if waiting requests are canceled.
func (c *keyCache) run(done chan<- struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := c.fetchOrRecover(ctx)

	c.mu.Lock()
	c.failed = !c.replaces(err)
	// Equal keys remain the same set, so that no signature is verified with them twice.
	changed := !c.failed && !set.equal(c.set)
	if changed {
		c.set = set
	}
	var leftOut string
	if set != nil && set.leftOut != c.leftOut { // reported only when it changes
		leftOut, c.leftOut = set.leftOut, set.leftOut
	}
	c.finished, c.err, c.running = time.Now(), err, nil
	c.recheck.fetched(changed, c.finished)
	c.mu.Unlock()

	if leftOut != "" {
		c.log.keysLeftOut(leftOut)
	}
	// An unknown key id is reported to the request only: a client could fill the log
	// with forged ids.
	if err != nil && !errors.Is(err, errNoKey) {
		c.log.fetchFailed(err)
	}
	close(done)
}

// replaces reports whether the result of a fetch that ended with err replaces the cached
// keys. A response without usable keys does so only if the previous one had none either:
// the first may be a mistake of the key server, the second says that all keys were
// withdrawn. c.mu must be held.
func (c *keyCache) replaces(err error) bool {
	return err == nil || errors.Is(err, errNoKey) || errors.Is(err, errNoUsableKey) && errors.Is(c.err, errNoUsableKey)
}

// fetchOrRecover calls fetch. It returns a panic as an error, because a panic in a
// goroutine would end the process.
func (c *keyCache) fetchOrRecover(ctx context.Context) (set *keySet, err error) {
	defer func() {
		if recover() != nil {
			set, err = nil, errPanicked
		}
	}()
	return c.fetch(ctx)
}
