package memcache

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

func TestC10_AMillionUsersWithinTheBound(t *testing.T) {
	const users, bound, writers = 1_000_000, 10_000, 4
	c := newCache(t)
	s := c.Limit(bound)
	r := storetest.RecordOf("t", time.Hour)
	var writing, watching sync.WaitGroup
	done := make(chan struct{})
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
			s.Get(user(i%users), "ios", time.Now())
			runtime.Gosched()
		}
	})
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
	s.Put(user(users), "ios", r)
	storetest.WantToken(t, s, user(users), "ios", "t")
	if c.Len() != bound {
		t.Errorf("%d users are held with one more, want %d", c.Len(), bound)
	}
}

func TestTinyBoundsUnderContention(t *testing.T) {
	for _, bound := range []int{-1, 0, 1, 2, 7} {
		t.Run(fmt.Sprint(bound), func(t *testing.T) {
			c := newCache(t)
			s := c.Limit(bound)
			r := storetest.RecordOf("t", time.Hour)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 500 {
						u := user((w*500 + i*7) % 100)
						s.Put(u, exchange.Variant(fmt.Sprint(i%10)), r)
						s.Get(u, "0", time.Now())
						if i%50 == 0 {
							s.Evict(u)
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
	// Users of one shard: across shards the order of evictions is only approximate.
	var same []exchange.UserKey
	for i := 0; len(same) < 3; i++ {
		if c.shard(user(i)) == &c.shards[0] {
			same = append(same, user(i))
		}
	}
	s.Put(same[0], "ios", storetest.RecordOf("0", time.Minute))
	s.Put(same[1], "ios", storetest.RecordOf("1", time.Minute))
	s.Put(same[0], "ios", storetest.RecordOf("0 again", time.Minute))
	s.Put(same[2], "ios", storetest.RecordOf("2", time.Minute))
	storetest.WantToken(t, s, same[0], "ios", "0 again")
	storetest.WantToken(t, s, same[1], "ios", "")
	storetest.WantToken(t, s, same[2], "ios", "2")
	check(t, c)
}

func TestLimitChanges(t *testing.T) {
	c := newCache(t)
	r := storetest.RecordOf("t", time.Hour)
	large := c.Limit(10_000)
	for i := range 5000 {
		large.Put(user(i), "ios", r)
	}
	small := c.Limit(100)
	storetest.WantToken(t, small, user(0), "ios", "t") // the users stay when the limit changes
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
		storetest.WantToken(t, small, user(10_000+i), "ios", "t")
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
