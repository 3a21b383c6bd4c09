package memcache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// textLen is about the length of a real answer's text. It is one of the sizes
// in which Go hands out memory, so that what is measured beyond it is ours and
// not the rounding of the text (which is up to an eighth of its length).
const textLen = 768

// fill puts users as an exchange would: with a key and a Grant of their own.
func fill(s exchange.Store, users int) {
	const (
		digits = len("000") // of three lifetimes that are over, which are not part of the text
		rest   = len(`{"authToken":"","authTokenExpiresIn":,"refreshTokenExpiresIn":,"expiresIn":}`)
	)
	token := strings.Repeat("x", textLen-rest)
	until := time.Now().Add(time.Hour)
	for i := range users {
		g := exchange.NewGrant(time.Now()).Text("authToken", token).
			Lifetime("authTokenExpiresIn", time.Hour).
			Lifetime("refreshTokenExpiresIn", time.Hour).
			Lifetime("expiresIn", time.Hour).Grant()
		s.Put(user(i), "ios", exchange.Record{Grant: g, Until: until})
		if i == 0 && len(g.AppendJSON(nil, until))-digits != textLen {
			panic("the text is not as long as it is taken to be")
		}
	}
}

// heap is the memory in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// bytesPerUser is what a user takes beyond their tokens' own text.
func bytesPerUser(users int) float64 {
	before := heap()
	c := New()
	defer c.Close()
	fill(c.Limit(users), users)
	b := float64(heap()-before)/float64(users) - textLen
	runtime.KeepAlive(c)
	return b
}

func TestMemoryPerUser(t *testing.T) {
	if b := bytesPerUser(20_000); b > 400 {
		t.Errorf("a user takes %.0f bytes beyond the tokens' text, want at most 400", b)
	} else {
		t.Logf("%.0f bytes a user", b)
	}
}

func TestHitsAllocateNothing(t *testing.T) {
	s := newCache(t).Limit(100)
	s.Put("u", "ios", storetest.RecordOf("t", time.Hour))
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := s.Get("u", "ios", time.Now()); !ok {
			t.Fatal("a miss")
		}
	}); n > 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, users := range []int{100_000, 300_000, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerUser(users), "B/user")
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, users := range []int{1000, 1_000_000} {
		c := New()
		defer c.Close()
		s := c.Limit(users)
		r := storetest.RecordOf("t", time.Hour)
		keys := make([]exchange.UserKey, users)
		for i := range keys {
			keys[i] = user(i)
			s.Put(keys[i], "ios", r)
		}
		get := func(b *testing.B) {
			if _, ok := s.Get(keys[rand.IntN(users)], "ios", time.Now()); !ok {
				b.Error("a miss")
			}
		}
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(b)
			}
		})
		b.Run(fmt.Sprintf("users=%d/parallel", users), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					get(b)
				}
			})
		})
		b.Run(fmt.Sprintf("users=%d/swept", users), func(b *testing.B) {
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						c.shards[i%shardCount].sweep()
					}
				}
			}()
			for b.Loop() {
				get(b)
			}
			close(stop)
			<-stopped
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, bound := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("new/bound=%d", bound), func(b *testing.B) {
			c := New()
			defer c.Close()
			s := c.Limit(bound)
			r := storetest.RecordOf("t", time.Hour)
			for i := range bound {
				s.Put(user(i), "ios", r)
			}
			keys := make([]exchange.UserKey, 2*bound+1000)
			for i := range keys {
				keys[i] = user(i)
			}
			b.ReportAllocs()
			i := bound
			for b.Loop() {
				s.Put(keys[i%len(keys)], "ios", r)
				i++
			}
		})
	}
	b.Run("refresh", func(b *testing.B) {
		c := New()
		defer c.Close()
		s := c.Limit(1000)
		r := storetest.RecordOf("t", time.Hour)
		b.ReportAllocs()
		for b.Loop() {
			s.Put("u", "ios", r)
		}
	})
}
