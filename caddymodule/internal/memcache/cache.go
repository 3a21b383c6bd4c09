// Package memcache keeps records in memory, on go-cache: one entry per user
// with all their kinds of token, never more users than the bound, nothing
// longer than its time.
//
// go-cache has neither a bound nor a sweep that can be paced, and takes a
// lifetime that is not positive for "no end". So the users are spread over
// many small caches, a list beside each of them keeps the order in which they
// were put, one counter holds the bound, and a sweep visits one of the small
// caches at a time. Readers meet go-cache's read lock and nothing else.
package memcache

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// shardCount is a power of two. At a million users a shard holds about
	// 1,000 of them, each of which is some 400 ns of waiting for memory in a sweep:
	// those who put wait for half a millisecond. With so many, fewer than one hit
	// in a thousand goes to the shard that is being swept.
	shardCount = 1024

	// sweepStep is how many shards are swept at a time, one after the other. With
	// fewer the processor would wake up more often, for nothing where there are few
	// users.
	sweepStep = 4

	// sweepRound is how long a sweep of all shards takes, and so roughly how
	// long an expired user may still take up memory.
	sweepRound = time.Minute

	// maxEvictions bounds what one Put does when the bound has become much
	// smaller: it is a request that waits for it.
	maxEvictions = 256
)

// Cache holds users with their records, in memory. It is used through the
// Stores that Limit returns; all of them see the same users.
type Cache struct {
	seed   maphash.Seed
	users  atomic.Int64                      // users kept, and places taken for those about to be
	hand   atomic.Uint32                     // the shard that gives up a user next if one's own has none
	shards [shardCount]atomic.Pointer[shard] // nil until a user is put there

	sweeping sync.Once
	stop     chan struct{}
	stopOnce sync.Once
}

// New returns an empty Cache. Its sweep begins with the first user: one that is
// never used takes 8 KiB and no processor. Close it, or the sweep goes on for ever.
func New() *Cache { return &Cache{seed: maphash.MakeSeed(), stop: make(chan struct{})} }

// Close ends the sweep. The Cache stays usable and keeps its bound and its
// times, so requests that still hold it are served; expired users then go
// only when they are put again, forgotten or evicted. It may be called again.
func (c *Cache) Close() { c.stopOnce.Do(func() { close(c.stop) }) }

// Len is the number of users kept. Those that have expired count until they
// are swept, and a Put under way counts already: it is never less than what is
// held, so the bound holds for it, too.
func (c *Cache) Len() int { return int(c.users.Load()) }

// Limit returns the Cache as a Store whose Put keeps at most maxUsers users
// (0 or less: none) by dropping those that were put longest ago. Get, Forget
// and Flush are the Cache's.
//
// The bound is the view's and not the Cache's, so that it may change while the
// users stay. If there are more than maxUsers users when a Put comes, it drops
// up to 256 of them: a smaller bound is reached over as many Puts as it takes,
// and new users are kept once it is.
func (c *Cache) Limit(maxUsers int) exchange.Store { return boundedCache{c, int64(maxUsers)} }

// boundedCache is a Cache with a bound.
type boundedCache struct {
	*Cache
	max int64
}

// Get returns what is kept and still good now.
func (v boundedCache) Get(user exchange.UserKey, kind exchange.Kind, now time.Time) (exchange.Record, bool) {
	s := v.shard(user).Load()
	if s == nil {
		return exchange.Record{}, false
	}
	return s.get(user, kind, now.UnixNano())
}

// Put keeps r until r.Until, in place of what was kept for that user and kind.
// One that is not in the future is not kept, and what it replaces is gone all
// the same: it is older.
func (v boundedCache) Put(user exchange.UserKey, kind exchange.Kind, r exchange.Record) {
	s := v.shardToPut(user)
	now := time.Now()
	k, ok := newCachedToken(kind, r, now)
	if !ok {
		s.drop(user, kind, now.UnixNano())
		return
	}
	if s.replace(user, k, now.UnixNano()) {
		v.evictDown(v.max, s)
		return
	}
	// The place is taken before the user is put, with no lock held: another
	// shard may have to give it up.
	if !v.reserve(v.max, s) {
		return // a cache fails open: it costs a call, no more
	}
	s.insert(user, k, now.UnixNano())
}

// Forget drops all kinds of a user.
func (c *Cache) Forget(user exchange.UserKey) {
	if s := c.shard(user).Load(); s != nil {
		s.forget(user)
	}
}

// ForgetTokens implements exchange.Forgetter.
func (c *Cache) ForgetTokens(user exchange.UserKey) {
	if s := c.shard(user).Load(); s != nil {
		s.forgetTokens(user, time.Now().UnixNano())
	}
}

// Flush drops everything.
func (c *Cache) Flush() {
	for s := range c.usedShards() {
		s.flush()
	}
}

// shard returns the place of a user's shard. The keys' own bytes would do as long as
// they are hashes; this does not depend on it.
func (c *Cache) shard(user exchange.UserKey) *atomic.Pointer[shard] {
	return &c.shards[maphash.String(c.seed, string(user))%shardCount]
}

// shardToPut returns the shard of a user, and makes it if there is none.
func (c *Cache) shardToPut(user exchange.UserKey) *shard {
	at := c.shard(user)
	if s := at.Load(); s != nil {
		return s
	}
	c.sweeping.Do(func() { go c.sweepAll() })
	at.CompareAndSwap(nil, newShard(&c.users))
	return at.Load()
}

// usedShards are the shards that there are.
func (c *Cache) usedShards() iter.Seq[*shard] {
	return func(yield func(*shard) bool) {
		for i := range c.shards {
			if s := c.shards[i].Load(); s != nil && !yield(s) {
				return
			}
		}
	}
}

// reserve takes a place for one more user, and evicts for it if need be, from
// own first. It reports false if there is none to be had: all places are taken
// by others' Puts, or the bound has become so small that it takes several.
func (c *Cache) reserve(limit int64, own *shard) bool {
	for range maxEvictions {
		for n := c.users.Load(); n < limit; n = c.users.Load() {
			if c.users.CompareAndSwap(n, n+1) {
				return true
			}
		}
		if !c.evict(own) {
			return false
		}
	}
	return false
}

// evictDown evicts what is beyond the bound.
func (c *Cache) evictDown(limit int64, own *shard) {
	for range maxEvictions {
		if c.users.Load() <= limit || !c.evict(own) {
			return
		}
	}
}

// evict drops the user put longest ago of own, or of the next shard that has
// any. It holds one lock at a time.
func (c *Cache) evict(own *shard) bool {
	if own.evictOldest() {
		return true
	}
	// Goes on where the last one was found, so that all shards pay in turn.
	from := c.hand.Load()
	for i := range uint32(shardCount) {
		if s := c.shards[(from+i)%shardCount].Load(); s != nil && s.evictOldest() {
			c.hand.Store(from + i + 1)
			return true
		}
	}
	return false
}

// sweepAll visits a few shards at a time, one after the other, all of them in a round.
func (c *Cache) sweepAll() {
	tick := time.NewTicker(sweepRound / shardCount * sweepStep)
	defer tick.Stop()
	for i := 0; ; i = (i + sweepStep) % shardCount {
		select {
		case <-c.stop:
			return
		case <-tick.C:
			for s := range sweepStep {
				if s := c.shards[i+s].Load(); s != nil {
					s.sweep()
				}
			}
		}
	}
}

// Interface guard.
var _ exchange.Store = boundedCache{}
