// Package memcache caches records in memory, on go-cache: one entry per user with all
// their kinds of token, up to a maximum number of users, and no record after it has
// expired.
//
// go-cache has no size limit and no sweep that can be paced, and treats a lifetime that
// is not positive as "never expires". Therefore the users are spread over many small
// caches (shards). A list per shard records the order in which users were put. One
// counter enforces the limit. A sweep visits a few shards at a time. A read takes only
// go-cache's read lock.
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
	// shardCount is a power of two. With a million users, a shard holds about 1,000. A
	// sweep waits about 400 ns for memory for each of them, so a Put may wait for half
	// a millisecond. With so many shards, fewer than one hit in a thousand goes to the
	// shard that is being swept.
	shardCount = 1024

	// sweepStep is how many shards are swept at a time, one after the other. With
	// fewer, the processor would wake up more often, without need if there are few
	// users.
	sweepStep = 4

	// sweepRound is how long a sweep of all shards takes. So it is roughly the maximum
	// time for which an expired user still takes up memory.
	sweepRound = time.Minute

	// maxEvictions is how many users one Put evicts at most, for example after the
	// limit was lowered. A request waits for that Put.
	maxEvictions = 256
)

// Cache holds the records of users in memory. Use it through the Stores that Limit
// returns. All of them share the same users.
type Cache struct {
	seed        maphash.Seed
	users       atomic.Int64                      // number of users, including places reserved for users about to be put
	evictCursor atomic.Uint32                     // the shard to evict from next if the shard of the user is empty
	shards      [shardCount]atomic.Pointer[shard] // nil until a user is put there

	sweeping sync.Once
	stop     chan struct{}
	stopOnce sync.Once
}

// New returns an empty Cache. Its sweep starts with the first user, so an unused Cache
// takes 8 KiB and no processor time. Call Close to stop the sweep.
func New() *Cache { return &Cache{seed: maphash.MakeSeed(), stop: make(chan struct{})} }

// Close stops the sweep. The Cache remains usable, and still applies its limit and its
// expiry, so requests that still use it are served. After Close, expired users are
// removed only when they are put again or evicted. Close may be called more
// than once.
func (c *Cache) Close() { c.stopOnce.Do(func() { close(c.stop) }) }

// Len returns the number of users. Expired users count until they are swept, and a
// running Put already counts. So Len is never less than the number of users in memory,
// and the limit applies to that number.
func (c *Cache) Len() int { return int(c.users.Load()) }

// Limit returns the Cache as a Store whose Put holds at most maxUsers users (0 or less:
// none). A Put evicts the users that were put longest ago. Get, Evict and Flush are
// those of the Cache.
//
// The limit belongs to the Store and not to the Cache, so that it can change while the
// users stay. If the Cache holds more than maxUsers users, each Put evicts up to 256 of
// them. A lower limit may take several Puts to reach; new users are cached from then
// on.
func (c *Cache) Limit(maxUsers int) exchange.Store { return boundedCache{c, int64(maxUsers)} }

// boundedCache is a Cache with a maximum number of users.
type boundedCache struct {
	*Cache
	max int64
}

// Get implements exchange.Store.
func (v boundedCache) Get(user exchange.UserKey, variant exchange.Variant, now time.Time) (exchange.Record, bool) {
	s := v.shard(user).Load()
	if s == nil {
		return exchange.Record{}, false
	}
	return s.get(user, variant, now.UnixNano())
}

// Put implements exchange.Store. If r has expired, the previous record is deleted all
// the same, because it is older.
func (v boundedCache) Put(user exchange.UserKey, variant exchange.Variant, r exchange.Record) {
	s := v.shardToPut(user)
	now := time.Now()
	k, ok := newCachedToken(variant, r, now)
	if !ok {
		s.drop(user, variant, now.UnixNano())
		return
	}
	if s.replace(user, k, now.UnixNano()) {
		v.evictDown(v.max, s)
		return
	}
	// The place is reserved before the user is put, with no lock held, because another
	// shard may have to evict a user.
	if !v.reserve(v.max, s) {
		return // a cache fails open: the next request costs a call, nothing else
	}
	s.insert(user, k, now.UnixNano())
}

// Evict implements exchange.Invalidator.
func (c *Cache) Evict(user exchange.UserKey) {
	if s := c.shard(user).Load(); s != nil {
		s.evict(user)
	}
}

// EvictTokens implements exchange.Invalidator.
func (c *Cache) EvictTokens(user exchange.UserKey) {
	if s := c.shard(user).Load(); s != nil {
		s.evictTokens(user, time.Now().UnixNano())
	}
}

// Flush implements exchange.Invalidator.
func (c *Cache) Flush() {
	for s := range c.usedShards() {
		s.flush()
	}
}

// shard returns the shard pointer of a user. The bytes of the key would do as long as
// keys are hashes; the hash here does not depend on that.
func (c *Cache) shard(user exchange.UserKey) *atomic.Pointer[shard] {
	return &c.shards[maphash.String(c.seed, string(user))%shardCount]
}

// shardToPut returns the shard of a user. It creates the shard if there is none, and
// starts the sweep with the first one.
func (c *Cache) shardToPut(user exchange.UserKey) *shard {
	at := c.shard(user)
	if s := at.Load(); s != nil {
		return s
	}
	c.sweeping.Do(func() { go c.sweepAll() })
	at.CompareAndSwap(nil, newShard(&c.users))
	return at.Load()
}

// usedShards iterates over the shards that have been created.
func (c *Cache) usedShards() iter.Seq[*shard] {
	return func(yield func(*shard) bool) {
		for i := range c.shards {
			if s := c.shards[i].Load(); s != nil && !yield(s) {
				return
			}
		}
	}
}

// reserve reserves a place for one more user. If there is none, it evicts users, from
// the given shard first. It reports false if there is still no place: other Puts have
// taken all places, or the limit has become so low that reaching it takes several Puts.
func (c *Cache) reserve(limit int64, first *shard) bool {
	for range maxEvictions {
		for n := c.users.Load(); n < limit; n = c.users.Load() {
			if c.users.CompareAndSwap(n, n+1) {
				return true
			}
		}
		if !c.evict(first) {
			return false
		}
	}
	return false
}

// evictDown evicts users beyond the limit, at most maxEvictions of them.
func (c *Cache) evictDown(limit int64, first *shard) {
	for range maxEvictions {
		if c.users.Load() <= limit || !c.evict(first) {
			return
		}
	}
}

// evict evicts the user put longest ago of first, or of the next shard with users. It
// holds one lock at a time. It reports false if all shards are empty.
func (c *Cache) evict(first *shard) bool {
	if first.evictOldest() {
		return true
	}
	// It continues after the shard of the last eviction, so that all shards lose users
	// in turn.
	from := c.evictCursor.Load()
	for i := range uint32(shardCount) {
		if s := c.shards[(from+i)%shardCount].Load(); s != nil && s.evictOldest() {
			c.evictCursor.Store(from + i + 1)
			return true
		}
	}
	return false
}

// sweepAll sweeps sweepStep shards per tick, and all shards once per sweepRound. It
// returns when the Cache is closed.
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
