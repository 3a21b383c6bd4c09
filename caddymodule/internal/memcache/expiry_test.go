package memcache

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

func TestC09_NeverForEverNeverPastItsLife(t *testing.T) {
	for _, test := range []struct {
		name string
		life time.Duration
		kept bool
	}{
		{"30 s", 30 * time.Second, true},
		{"1 ns", 1, true},
		{"1 µs", time.Microsecond, true},
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
				c.Close() // a sweep over ten years takes a while, even in fake time
				s := c.Limit(10)
				until := time.Now().Add(test.life)
				s.Put("u", "ios", exchange.Record{Token: storetest.NewToken("t"), Until: until})
				r, ok := s.Get("u", "ios", time.Now())
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
				storetest.WantToken(t, s, "u", "ios", "")
			})
		})
	}
	t.Run("zero time, and a year without nanoseconds", func(t *testing.T) {
		c := newCache(t)
		s := c.Limit(10)
		s.Put("u", "ios", exchange.Record{Token: storetest.NewToken("t")})
		storetest.WantToken(t, s, "u", "ios", "")
		s.Put("u", "ios", exchange.Record{Token: storetest.NewToken("t"), Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})
		if r, ok := s.Get("u", "ios", time.Now()); !ok || time.Until(r.Until) > maxLife {
			t.Errorf("Get = %v, %v; want at most ten years", r.Until, ok)
		}
		check(t, c)
	})
}

func TestExpiryAndSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		s := c.Limit(10_000)
		const users = 2000
		for i := range users {
			s.Put(user(i), "ios", storetest.RecordOf("a", 10*time.Second))
			if i%2 == 0 {
				s.Put(user(i), "web", storetest.RecordOf("b", 10*time.Minute))
			}
		}
		time.Sleep(10 * time.Second) // the last moment before it expires
		storetest.WantToken(t, s, user(1), "ios", "a")
		time.Sleep(time.Nanosecond)
		storetest.WantToken(t, s, user(1), "ios", "")
		storetest.WantToken(t, s, user(2), "ios", "")
		storetest.WantToken(t, s, user(2), "web", "b")
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
		s.Put("u", "ios", storetest.RecordOf("a", time.Second))
		s.Put("u", "web", storetest.RecordOf("b", time.Second))
		time.Sleep(time.Minute)
		if c.Len() != 1 {
			t.Fatalf("Len = %d, want 1", c.Len())
		}
		s.Put("u", "ios", storetest.RecordOf("c", time.Second))
		storetest.WantToken(t, s, "u", "ios", "c")
		storetest.WantToken(t, s, "u", "web", "")
		check(t, c)
		time.Sleep(time.Minute)
		s.Evict("u")
		if c.Len() != 0 {
			t.Errorf("Len = %d, want 0", c.Len())
		}
		check(t, c)
	})
}

// TestSweepUnderContention checks that sweeps, Puts and Gets at the same time tolerate
// that users expire at any moment.
func TestSweepUnderContention(t *testing.T) {
	c := newCache(t)
	s := c.Limit(200)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				u := user((i + w*100) % 400)
				s.Put(u, exchange.Variant(fmt.Sprint(i%3)), storetest.RecordOf("t", time.Duration(1+i%200)*time.Microsecond))
				s.Get(u, "0", time.Now())
				if i%20 == 0 {
					if s := c.shards[i%shardCount].Load(); s != nil {
						s.sweep()
					}
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
	for s := range c.usedShards() {
		s.sweep()
	}
	check(t, c)
	if c.Len() != 0 {
		t.Errorf("Len = %d, want 0", c.Len())
	}
}
