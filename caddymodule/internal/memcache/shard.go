package memcache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// shard is a part of the users: a go-cache, and a list of its entries from the
// one put longest ago to the one put last. Whoever changes either holds mu;
// whoever only reads the cache does not.
type shard struct {
	mu             sync.Mutex
	items          *cache.Cache // values are *entry
	oldest, newest *entry
	users          *atomic.Int64 // the Cache's counter
}

func newShard(users *atomic.Int64) *shard {
	// No default lifetime and no janitor: every lifetime is given, and the
	// sweep is ours. Lifetimes of 0 and less would mean "for ever" here.
	s := &shard{items: cache.New(cache.NoExpiration, 0), users: users}
	// Called by Delete, and so with mu held. It is also the only way to learn
	// of an entry that has expired and was not swept yet: Get hides those.
	s.items.OnEvicted(func(_ string, v any) {
		s.unlink(v.(*entry))
		s.users.Add(-1)
	})
	return s
}

// get returns what is kept for user and kind and good now.
func (s *shard) get(user exchange.UserKey, kind exchange.Kind, now int64) (exchange.Record, bool) {
	v, ok := s.items.Get(string(user))
	if !ok {
		return exchange.Record{}, false
	}
	k := v.(*entry).find(kind)
	if k == nil || now > k.until {
		return exchange.Record{}, false
	}
	return k.record(), true
}

// replace puts k if there is an entry for the user, and reports whether.
func (s *shard) replace(user exchange.UserKey, k *cachedToken, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaceLocked(user, k, now)
}

// insert puts k. The caller has reserved a place for one more user.
func (s *shard) insert(user exchange.UserKey, k *cachedToken, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaceLocked(user, k, now) {
		s.users.Add(-1) // somebody else put the user meanwhile
		return
	}
	s.put(newEntry(user, k), now)
}

func (s *shard) replaceLocked(user exchange.UserKey, k *cachedToken, now int64) bool {
	v, ok := s.items.Get(string(user))
	if !ok {
		s.items.Delete(string(user)) // it may be there, expired
		return false
	}
	old := v.(*entry)
	k.next = old.copyWithout(k.kind, maxKinds-1, now)
	s.unlink(old)
	s.put(newEntry(user, k), now)
	return true
}

// drop forgets one kind of a user.
func (s *shard) drop(user exchange.UserKey, kind exchange.Kind, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.items.Get(string(user))
	if !ok {
		return
	}
	old := v.(*entry)
	if old.find(kind) == nil {
		return
	}
	s.keepOnly(old, old.copyWithout(kind, maxKinds, now), now)
}

// keepOnly puts an entry with the given kinds in place of old, or none.
func (s *shard) keepOnly(old *entry, rest *cachedToken, now int64) {
	if rest == nil {
		s.items.Delete(string(old.user))
		return
	}
	s.unlink(old)
	s.put(newEntry(old.user, rest), now)
}

// forgetTokens drops the tokens of a user, of all kinds.
func (s *shard) forgetTokens(user exchange.UserKey, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.items.Get(string(user))
	if !ok {
		s.items.Delete(string(user)) // it may be there, expired
		return
	}
	old := v.(*entry)
	s.keepOnly(old, old.copyIf(maxKinds, func(k *cachedToken) bool { return k.err != nil && k.until > now }), now)
}

// put makes e the user's entry, and the newest. An entry is never changed once
// it is here, only replaced, because readers hold no lock while they look.
func (s *shard) put(e *entry, now int64) {
	s.link(e)
	s.items.Set(string(e.user), e, time.Duration(e.last()-now))
}

// forget drops a user.
func (s *shard) forget(user exchange.UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items.Delete(string(user))
}

// flush drops all users.
func (s *shard) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users.Add(-int64(s.items.ItemCount()))
	s.items.Flush()
	s.oldest, s.newest = nil, nil
}

// evictOldest drops the user put longest ago, and reports whether there was one.
func (s *shard) evictOldest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest == nil {
		return false
	}
	s.items.Delete(string(s.oldest.user))
	return true
}

// sweep drops the users of whom nothing is good any more. It goes over the
// list and not over go-cache's map, so that readers are held up for one
// deletion at a time. Lifetimes differ, so the list's order says too little to
// stop early.
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

// link makes e the newest of the list.
func (s *shard) link(e *entry) {
	e.older = s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

// unlink takes e out of the list.
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
	e.older, e.newer = nil, nil // a reader may hold e: it shall not hold others
}
