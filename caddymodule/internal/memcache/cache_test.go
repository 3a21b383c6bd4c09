package memcache

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

func newCache(t *testing.T) *Cache {
	c := New()
	t.Cleanup(c.Close)
	return c
}

// user returns a key of 32 bytes, the length of a hash.
func user(i int) exchange.UserKey {
	var b [32]byte
	binary.BigEndian.PutUint64(b[24:], uint64(i))
	return exchange.UserKey(b[:])
}

// check fails unless lists, maps and the counter agree. The Cache must not be in use.
func check(t *testing.T, c *Cache) {
	t.Helper()
	total := 0
	i := -1
	for s := range c.usedShards() {
		i++
		n := 0
		var older *entry
		for e := s.oldest; e != nil; older, e = e, e.newer {
			if e.older != older {
				t.Fatalf("shard %d: the list is broken", i)
			}
			n++
		}
		if s.newest != older {
			t.Fatalf("shard %d: the list does not end at the newest", i)
		}
		if n != s.items.ItemCount() {
			t.Fatalf("shard %d: %d in the list, %d in the map", i, n, s.items.ItemCount())
		}
		for key, item := range s.items.Items() {
			if item.Expiration <= 0 {
				t.Fatalf("%q is kept for ever", key)
			}
			if e := item.Object.(*entry); string(e.user) != key {
				t.Fatalf("%q holds the entry of %q", key, e.user)
			}
		}
		total += n
	}
	if c.Len() != total {
		t.Fatalf("Len = %d, but %d are held", c.Len(), total)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) exchange.Store {
		c := newCache(t)
		t.Cleanup(func() { check(t, c) })
		return c.Limit(1000)
	})
}

func TestClosedCacheIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) exchange.Store {
		c := New()
		c.Close()
		c.Close()
		t.Cleanup(func() { check(t, c) })
		return c.Limit(1000)
	})
}

func TestAnEmptyRecordIsNotKept(t *testing.T) {
	s := newCache(t).Limit(10)
	s.Put("u", "ios", exchange.Record{Until: time.Now().Add(time.Minute)})
	storetest.WantToken(t, s, "u", "ios", "")
}

func TestTheOldestKindGoes(t *testing.T) {
	c := newCache(t)
	s := c.Limit(10)
	variant := func(i int) exchange.Variant { return exchange.Variant(fmt.Sprint("k", i)) }
	for i := range maxVariants {
		s.Put("u", variant(i), storetest.RecordOf(fmt.Sprint(i), time.Minute))
	}
	s.Put("u", variant(0), storetest.RecordOf("0 again", time.Minute))
	s.Put("u", variant(maxVariants), storetest.RecordOf("new", time.Minute))
	storetest.WantToken(t, s, "u", variant(0), "0 again")
	storetest.WantToken(t, s, "u", variant(1), "")
	storetest.WantToken(t, s, "u", variant(2), "2")
	storetest.WantToken(t, s, "u", variant(maxVariants), "new")
	for i := range 1000 {
		s.Put("u", variant(i), storetest.RecordOf("t", time.Minute))
	}
	n := 0
	for i := range 1000 {
		if _, ok := s.Get("u", variant(i), time.Now()); ok {
			n++
		}
	}
	if n != maxVariants || c.Len() != 1 {
		t.Errorf("%d variants of %d users are stored, want %d of 1", n, c.Len(), maxVariants)
	}
	check(t, c)
}

// TestCheckedAt checks that CheckedAt is the time of the Put, unless it is set.
func TestCheckedAt(t *testing.T) {
	s := newCache(t).Limit(10)
	checked := func(at time.Time) time.Time {
		s.Put("u", "ios", exchange.Record{Token: storetest.NewToken("t"), Until: time.Now().Add(time.Hour), CheckedAt: at})
		r, ok := s.Get("u", "ios", time.Now())
		if !ok {
			t.Fatal("a miss")
		}
		return r.CheckedAt
	}
	before := time.Now().Add(-time.Hour)
	if got := checked(before); !got.Equal(before.Round(0)) {
		t.Errorf("it was checked at %s, want %s", got, before)
	}
	start := time.Now()
	if got := checked(time.Time{}); got.Before(start.Round(0)) || got.After(time.Now()) {
		t.Errorf("it was checked at %s, want now", got)
	}
}

// TestEvictTokensKeepsRefusals tests all variants of a user, and another user.
func TestEvictTokensKeepsRefusals(t *testing.T) {
	c := newCache(t)
	s := c.Limit(10)
	refusal := exchange.Record{Err: &exchange.Error{Code: exchange.CodeRefused}, Until: time.Now().Add(time.Minute)}
	s.Put("u", "ios", storetest.RecordOf("a", time.Minute))
	s.Put("u", "android", refusal)
	s.Put("u", "web", storetest.RecordOf("b", time.Minute))
	s.Put("v", "ios", storetest.RecordOf("c", time.Minute))
	s.Put("w", "ios", refusal)
	for _, user := range []exchange.UserKey{"u", "w", "unknown"} {
		s.EvictTokens(user)
	}
	check(t, c)
	storetest.WantToken(t, s, "u", "ios", "")
	storetest.WantToken(t, s, "u", "web", "")
	storetest.WantToken(t, s, "v", "ios", "c")
	for user, variant := range map[exchange.UserKey]exchange.Variant{"u": "android", "w": "ios"} {
		if r, ok := s.Get(user, variant, time.Now()); !ok || r.Err == nil {
			t.Errorf("the refusal of %s is %+v, %t", user, r, ok)
		}
	}
	s.EvictTokens("v")
	check(t, c)
	if c.Len() != 2 {
		t.Errorf("%d users are held, want 2", c.Len())
	}
}
