package assertion

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

const (
	// refreshAfter is when keys that are used are fetched again. Nobody waits
	// for that.
	refreshAfter = 15 * time.Minute
	// retryAfter is the same after a fetch that failed.
	retryAfter = time.Minute
	// idleAfter is when keys that nobody used are too old to be believed
	// without having asked again: one of them may have been withdrawn.
	idleAfter = time.Hour
	// fetchTimeout is for one fetch.
	fetchTimeout = 5 * time.Second
)

// MinInterval is the least time between the starts of two fetches. What a stranger sends
// can make this server ask, but not more often. It is shorter in tests of others.
var MinInterval = 5 * time.Second

// keyCache are the keys that one URL served last. They stay while the key
// server is down, however long.
type keyCache struct {
	fetch   func(context.Context) (*keySet, error)
	onError func(error)

	mu      sync.Mutex
	set     *keySet       // nil: there are none
	started time.Time     // when the last fetch did
	ended   time.Time     // when the last fetch did
	err     error         // what came of it
	running chan struct{} // closed when the fetch ends; nil if none is running
}

func (k *Keys) newKeyCache(fetch func(context.Context) (*keySet, error)) *keyCache {
	return &keyCache{fetch: fetch, onError: k.onError}
}

// prefetch starts a fetch if one is due.
func (c *keyCache) prefetch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.isDue(now) {
		c.start(now)
	}
}

// get returns the keys. It waits for a fetch if there are none yet, or if
// nobody asked for so long that they may have changed a good deal.
func (c *keyCache) get(ctx context.Context) (*keySet, error) {
	c.mu.Lock()
	now := time.Now()
	if c.isDue(now) {
		c.start(now)
	}
	if c.running != nil && (c.set == nil || now.Sub(c.ended) > idleAfter) {
		running := c.running
		c.mu.Unlock()
		if !wait(ctx, running) {
			return nil, identity.ErrKeysUnavailable // whoever asked has left
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

// newer returns keys that were fetched after those that lacked one, which it
// waits for; nil if there are none. All who ask wait for the same fetch, and
// nobody waits if the last one was a moment ago.
func (c *keyCache) newer(ctx context.Context, lacking *keySet) *keySet {
	c.mu.Lock()
	if c.set == lacking {
		c.start(time.Now())
		running := c.running
		c.mu.Unlock()
		if running == nil || !wait(ctx, running) {
			return nil
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.set == lacking {
		return nil
	}
	return c.set
}

// isEmpty reports whether there are no keys and none are being fetched.
func (c *keyCache) isEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set == nil && c.running == nil
}

// isDue reports whether a fetch would be in order. c.mu is held.
func (c *keyCache) isDue(now time.Time) bool {
	age := now.Sub(c.ended)
	return c.set == nil || age > refreshAfter || c.err != nil && age > retryAfter
}

// start starts a fetch, unless one is running or was just started. c.mu is
// held.
func (c *keyCache) start(now time.Time) {
	if c.running != nil || !c.started.IsZero() && now.Sub(c.started) < MinInterval {
		return
	}
	c.started = now
	c.running = make(chan struct{})
	go c.run(c.running)
}

// run is a fetch, which goes on when those who wait for it leave.
func (c *keyCache) run(done chan<- struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := c.fetchOrRecover(ctx)

	c.mu.Lock()
	if err == nil || errors.Is(err, errNoKey) || errors.Is(err, errNoUsable) { // otherwise the old ones stay
		c.set = set
	}
	c.ended, c.err, c.running = time.Now(), err, nil
	c.mu.Unlock()

	// That there is no such key is for the one who asked for it: a stranger
	// could fill the log with it.
	if err != nil && !errors.Is(err, errNoKey) {
		c.onError(err)
	}
	close(done)
}

// fetchOrRecover is fetch; a panic in it, which would end the process, is an
// error.
func (c *keyCache) fetchOrRecover(ctx context.Context) (set *keySet, err error) {
	defer func() {
		if recover() != nil {
			set, err = nil, errPanicked
		}
	}()
	return c.fetch(ctx)
}

// wait reports whether a fetch ended before ctx did.
func wait(ctx context.Context, running <-chan struct{}) bool {
	select {
	case <-running:
		return true
	case <-ctx.Done():
		return false
	}
}
