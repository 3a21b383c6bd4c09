package memcache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// shard holds a part of the users: a go-cache, and a list of its entries in the order
// in which they were put. Code that changes either holds mu. Code that only reads the
// cache does not.
type shard struct {
	mu             sync.Mutex
	items          *cache.Cache // values are *entry
	oldest, newest *entry
	users          *atomic.Int64 // the Cache's counter
}

func newShard(users *atomic.Int64) *shard {
	// No default expiration and no janitor: each entry has its own lifetime, and the
	// Cache does the sweep. go-cache treats lifetimes of 0 and less as "never expires".
	s := &shard{items: cache.New(cache.NoExpiration, 0), users: users}
	// Delete calls this, so mu is held. For an entry that is expired but not swept, it
	// is the only way to get the entry: Get does not return it.
	s.items.OnEvicted(func(_ string, v any) {
		s.unlink(v.(*entry))
		s.users.Add(-1)
	})
	return s
}

// get returns the record of user and variant that is valid at now (Unix nanoseconds).
func (s *shard) get(user exchange.UserKey, variant exchange.Variant, now int64) (exchange.Record, bool) {
	v, ok := s.items.Get(string(user))
	if !ok {
		return exchange.Record{}, false
	}
	k := v.(*entry).find(variant)
	if k == nil || now > k.until {
		return exchange.Record{}, false
	}
	return k.record(), true
}

// replace puts k if the user has an entry, and reports whether it did.
func (s *shard) replace(user exchange.UserKey, k *cachedToken, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaceLocked(user, k, now)
}

// insert puts k. The caller must have reserved a place for one more user.
func (s *shard) insert(user exchange.UserKey, k *cachedToken, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaceLocked(user, k, now) {
		s.users.Add(-1) // another Put has added the user in the meantime
		return
	}
	s.put(newEntry(user, k), now)
}

func (s *shard) replaceLocked(user exchange.UserKey, k *cachedToken, now int64) bool {
	v, ok := s.items.Get(string(user))
	if !ok {
		s.items.Delete(string(user)) // an expired entry may be left
		return false
	}
	old := v.(*entry)
	k.next = old.copyWithout(k.variant, maxVariants-1, now)
	s.unlink(old)
	s.put(newEntry(user, k), now)
	return true
}

// drop deletes one variant of a user.
func (s *shard) drop(user exchange.UserKey, variant exchange.Variant, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.items.Get(string(user))
	if !ok {
		return
	}
	old := v.(*entry)
	if old.find(variant) == nil {
		return
	}
	s.keepOnly(old, old.copyWithout(variant, maxVariants, now), now)
}

// keepOnly replaces the entry old by one with the given variants. If rest is nil, it
// deletes the entry.
func (s *shard) keepOnly(old *entry, rest *cachedToken, now int64) {
	if rest == nil {
		s.items.Delete(string(old.user))
		return
	}
	s.unlink(old)
	s.put(newEntry(old.user, rest), now)
}

// evictTokens deletes the tokens of a user, of all variants, but not the refusals.
func (s *shard) evictTokens(user exchange.UserKey, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.items.Get(string(user))
	if !ok {
		s.items.Delete(string(user)) // an expired entry may be left
		return
	}
	old := v.(*entry)
	s.keepOnly(old, old.copyIf(maxVariants, func(k *cachedToken) bool { return k.err != nil && k.until > now }), now)
}

// put stores e as the user's entry, and as the newest. A stored entry is never changed,
// only replaced, because readers hold no lock while they use it.
func (s *shard) put(e *entry, now int64) {
	s.link(e)
	s.items.Set(string(e.user), e, time.Duration(e.last()-now))
}

// evict deletes a user.
func (s *shard) evict(user exchange.UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items.Delete(string(user))
}

// flush deletes all users.
func (s *shard) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users.Add(-int64(s.items.ItemCount()))
	s.items.Flush()
	s.oldest, s.newest = nil, nil
}

// evictOldest deletes the user put longest ago, and reports whether there was one.
func (s *shard) evictOldest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest == nil {
		return false
	}
	s.items.Delete(string(s.oldest.user))
	return true
}

// sweep deletes the users whose records have all expired. It iterates over the list and
// not over go-cache's map, so that readers wait for one deletion at a time. It visits
// all entries, because lifetimes differ and the list is in the order of the puts.
func (s *shard) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixNano()
	for e := s.oldest; e != nil; {
		newer := e.newer
		if now > e.last() {
			s.items.Delete(string(e.user))
		}
		e = newer
	}
}

// link appends e to the list as the newest.
func (s *shard) link(e *entry) {
	e.older = s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

// unlink removes e from the list.
func (s *shard) unlink(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	e.older, e.newer = nil, nil // a reader may still hold e, which must not retain other entries
}
