package memcache

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func newCache(t *testing.T) *Cache {
	c := New()
	t.Cleanup(c.Close)
	return c
}

func user(i int) exchange.UserKey { return exchange.UserKey(fmt.Sprintf("user-%027d", i)) }

// check fails unless lists, maps and the counter agree. Nothing may be using
// the Cache.
func check(t *testing.T, c *Cache) {
	t.Helper()
	total := 0
	for i := range c.shards {
		s := &c.shards[i]
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
	runStore(t, func(t *testing.T) exchange.Store {
		c := newCache(t)
		t.Cleanup(func() { check(t, c) })
		return c.Limit(1000)
	})
}

func TestClosedCacheIsAStore(t *testing.T) {
	runStore(t, func(t *testing.T) exchange.Store {
		c := New()
		c.Close()
		c.Close()
		t.Cleanup(func() { check(t, c) })
		return c.Limit(1000)
	})
}

func TestC09_NeverForEverNeverPastItsLife(t *testing.T) {
	for _, test := range []struct {
		name string
		life time.Duration
		kept bool
	}{
		{"30 s", 30 * time.Second, true},
		{"1 ns", 1, true},
		{"0, which is go-cache's default", 0, false},
		{"-1 ns, which is go-cache's for ever", -1, false},
		{"-5 s", -5 * time.Second, false},
		{"the least", math.MinInt64, false},
		{"1e18 ns", 1e18, true},
		{"the greatest", math.MaxInt64, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New()
				defer c.Close()
				s := c.Limit(10)
				until := time.Now().Add(test.life)
				s.Put("u", "ios", exchange.Record{Grant: grantOf("t"), Until: until})
				r, ok := s.Get("u", "ios")
				if ok != test.kept {
					t.Fatalf("kept: %v, want %v", ok, test.kept)
				}
				if ok && r.Until.After(until) {
					t.Errorf("kept until %v, after %v", r.Until, until)
				}
				check(t, c)
				if !ok {
					return
				}
				time.Sleep(min(test.life, maxLife) + 1)
				wantToken(t, s, "u", "ios", "")
			})
		})
	}
	t.Run("zero time, and a year without nanoseconds", func(t *testing.T) {
		c := newCache(t)
		s := c.Limit(10)
		s.Put("u", "ios", exchange.Record{Grant: grantOf("t")})
		wantToken(t, s, "u", "ios", "")
		s.Put("u", "ios", exchange.Record{Grant: grantOf("t"), Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})
		if r, ok := s.Get("u", "ios"); !ok || time.Until(r.Until) > maxLife {
			t.Errorf("Get = %v, %v; want at most ten years", r.Until, ok)
		}
		check(t, c)
	})
}

func TestAnEmptyRecordIsNotKept(t *testing.T) {
	s := newCache(t).Limit(10)
	s.Put("u", "ios", exchange.Record{Until: time.Now().Add(time.Minute)})
	wantToken(t, s, "u", "ios", "")
}

func TestC10_AMillionUsersWithinTheBound(t *testing.T) {
	const users, bound, writers = 1_000_000, 10_000, 4
	c := newCache(t)
	s := c.Limit(bound)
	r := recordOf("t", time.Hour)
	var writing, watching sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		watching.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if n := c.Len(); n > bound {
					t.Errorf("%d users are held", n)
					return
				}
				s.Get(user(i%users), "ios")
				runtime.Gosched()
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for i := w; i < users; i += writers {
				s.Put(user(i), "ios", r)
				if n := c.Len(); n > bound {
					t.Errorf("%d users are held", n)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	watching.Wait()
	check(t, c)
	if c.Len() != bound {
		t.Errorf("%d users are held at the end, want %d", c.Len(), bound)
	}
	wantToken(t, s, user(users-1), "ios", "t")
	wantToken(t, s, user(0), "ios", "")
}

func TestTinyBoundsUnderContention(t *testing.T) {
	for _, bound := range []int{-1, 0, 1, 2, 7} {
		t.Run(fmt.Sprint(bound), func(t *testing.T) {
			c := newCache(t)
			s := c.Limit(bound)
			r := recordOf("t", time.Hour)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 2000 {
						u := user((w*2000 + i*7) % 100)
						s.Put(u, exchange.Kind(fmt.Sprint(i%10)), r)
						s.Get(u, "0")
						if i%50 == 0 {
							s.Forget(u)
						}
						if n := c.Len(); n > max(0, bound) {
							t.Errorf("%d users are held", n)
							return
						}
					}
				})
			}
			wg.Wait()
			check(t, c)
		})
	}
}

func TestTheOldestGoes(t *testing.T) {
	c := newCache(t)
	s := c.Limit(2)
	// Users of one shard: across shards the order is only roughly kept.
	var same []exchange.UserKey
	for i := 0; len(same) < 3; i++ {
		if c.shard(user(i)) == &c.shards[0] {
			same = append(same, user(i))
		}
	}
	s.Put(same[0], "ios", recordOf("0", time.Minute))
	s.Put(same[1], "ios", recordOf("1", time.Minute))
	s.Put(same[0], "ios", recordOf("0 again", time.Minute))
	s.Put(same[2], "ios", recordOf("2", time.Minute))
	wantToken(t, s, same[0], "ios", "0 again")
	wantToken(t, s, same[1], "ios", "")
	wantToken(t, s, same[2], "ios", "2")
	check(t, c)
}

func TestTheOldestKindGoes(t *testing.T) {
	c := newCache(t)
	s := c.Limit(10)
	kind := func(i int) exchange.Kind { return exchange.Kind(fmt.Sprint("k", i)) }
	for i := range maxKinds {
		s.Put("u", kind(i), recordOf(fmt.Sprint(i), time.Minute))
	}
	s.Put("u", kind(0), recordOf("0 again", time.Minute))
	s.Put("u", kind(maxKinds), recordOf("new", time.Minute))
	wantToken(t, s, "u", kind(0), "0 again")
	wantToken(t, s, "u", kind(1), "")
	wantToken(t, s, "u", kind(2), "2")
	wantToken(t, s, "u", kind(maxKinds), "new")
	for i := range 1000 {
		s.Put("u", kind(i), recordOf("t", time.Minute))
	}
	n := 0
	for i := range 1000 {
		if _, ok := s.Get("u", kind(i)); ok {
			n++
		}
	}
	if n != maxKinds || c.Len() != 1 {
		t.Errorf("%d kinds of %d users are held, want %d of 1", n, c.Len(), maxKinds)
	}
	check(t, c)
}

func TestLimitChanges(t *testing.T) {
	c := newCache(t)
	r := recordOf("t", time.Hour)
	large := c.Limit(10_000)
	for i := range 5000 {
		large.Put(user(i), "ios", r)
	}
	small := c.Limit(100)
	wantToken(t, small, user(0), "ios", "t") // the users stay over a change of the bound
	if c.Len() != 5000 {
		t.Fatalf("%d users are held, want 5000", c.Len())
	}
	puts := 0
	for before := c.Len(); c.Len() > 100; before = c.Len() {
		small.Put(user(4999), "ios", r)
		if puts++; c.Len() >= before || before-c.Len() > maxEvictions {
			t.Fatalf("from %d to %d users with one Put", before, c.Len())
		}
	}
	if want := (5000-100)/maxEvictions + 1; puts > want {
		t.Errorf("it took %d Puts, want at most %d", puts, want)
	}
	for i := range 1000 {
		small.Put(user(10_000+i), "ios", r)
		wantToken(t, small, user(10_000+i), "ios", "t")
		if c.Len() > 100 {
			t.Fatalf("%d users are held", c.Len())
		}
	}
	check(t, c)
	for i := range 200 {
		large.Put(user(20_000+i), "ios", r)
	}
	if c.Len() != 300 {
		t.Errorf("%d users are held under the larger bound, want 300", c.Len())
	}
}

func TestExpiryAndSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		s := c.Limit(10_000)
		const users = 2000
		for i := range users {
			s.Put(user(i), "ios", recordOf("a", 10*time.Second))
			if i%2 == 0 {
				s.Put(user(i), "web", recordOf("b", 10*time.Minute))
			}
		}
		time.Sleep(10 * time.Second) // the last moment
		wantToken(t, s, user(1), "ios", "a")
		time.Sleep(1)
		wantToken(t, s, user(1), "ios", "")
		wantToken(t, s, user(2), "ios", "")
		wantToken(t, s, user(2), "web", "b")
		time.Sleep(sweepRound)
		if c.Len() != users/2 {
			t.Errorf("%d users are held after a round, want %d", c.Len(), users/2)
		}
		time.Sleep(10*time.Minute + sweepRound)
		if c.Len() != 0 {
			t.Errorf("%d users are held after the end of all, want 0", c.Len())
		}
		check(t, c)
		c.Close() // or the bubble does not end
	})
}

func TestPutOverAnExpiredUserThatWasNotSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		c.Close()
		s := c.Limit(2)
		s.Put("u", "ios", recordOf("a", time.Second))
		s.Put("u", "web", recordOf("b", time.Second))
		time.Sleep(time.Minute)
		if c.Len() != 1 {
			t.Fatalf("Len = %d, want 1", c.Len())
		}
		s.Put("u", "ios", recordOf("c", time.Second))
		wantToken(t, s, "u", "ios", "c")
		wantToken(t, s, "u", "web", "")
		check(t, c)
		time.Sleep(time.Minute)
		s.Forget("u")
		if c.Len() != 0 {
			t.Errorf("Len = %d, want 0", c.Len())
		}
		check(t, c)
	})
}

// The sweep must not meet a state in which a user expires between two looks.
func TestSweepUnderContention(t *testing.T) {
	c := newCache(t)
	s := c.Limit(200)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				u := user((i + w*100) % 400)
				s.Put(u, exchange.Kind(fmt.Sprint(i%3)), recordOf("t", time.Duration(1+i%200)*time.Microsecond))
				s.Get(u, "0")
				if i%20 == 0 {
					c.shards[i%shardCount].sweep()
				}
				if n := c.Len(); n > 200 {
					t.Errorf("%d users are held", n)
					return
				}
			}
		})
	}
	wg.Wait()
	time.Sleep(2 * time.Millisecond)
	for i := range c.shards {
		c.shards[i].sweep()
	}
	check(t, c)
	if c.Len() != 0 {
		t.Errorf("Len = %d, want 0", c.Len())
	}
}
