package memcache

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// textLen is about the length of the text of a real response. It is one of Go's
// allocation sizes, so that the measured rest is memory of this package and not the
// rounding of the text (up to an eighth of its length).
const textLen = 768

// token returns a Token with a text of that length.
func token() *exchange.Token {
	const (
		digits = len("000") // of three expired lifetimes, which are not part of the text
		rest   = len(`{"authToken":"","authTokenExpiresIn":,"refreshTokenExpiresIn":,"expiresIn":}`)
	)
	now := time.Now()
	g := exchange.NewToken(now).Text("authToken", strings.Repeat("x", textLen-rest)).
		Lifetime("authTokenExpiresIn", time.Hour).
		Lifetime("refreshTokenExpiresIn", time.Hour).
		Lifetime("expiresIn", time.Hour).Token()
	if len(g.AppendJSON(nil, now.Add(time.Hour)))-digits != textLen {
		panic("the text is not as long as it is taken to be")
	}
	return g
}

// fill puts users who do not expire, each with a Token made by token.
func fill(s exchange.Store, users int, token func() *exchange.Token) {
	until := time.Now().Add(time.Hour)
	for i := range users {
		s.Put(user(i), "ios", exchange.Record{Token: token(), Until: until})
	}
}

// heap returns the memory in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// bytesPerUser returns the memory of one user beyond the text of their tokens.
func bytesPerUser(users int) float64 {
	before := heap()
	c := New()
	defer c.Close()
	fill(c.Limit(users), users, token) // each has its own Token, as from an exchange
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

// manyUsers returns the number of users of the largest benchmarks: a million, or 20,000
// with -short, which only checks that they run.
func manyUsers() int {
	if testing.Short() {
		return 20_000
	}
	return 1_000_000
}

func BenchmarkMemory(b *testing.B) {
	for _, users := range []int{manyUsers() / 10, manyUsers() * 3 / 10, manyUsers()} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerUser(users), "B/user")
			}
		})
	}
}

// full are caches with so many users, reused by the benchmarks, because it takes
// seconds to put a million users. They are not swept.
var full = make(map[int]*Cache)

func fullCache(users int) *Cache {
	if full[users] == nil {
		c := New()
		c.Close()
		one := token() // making it takes a part of the time
		fill(c.Limit(users), users, func() *exchange.Token { return one })
		full[users] = c
	}
	return full[users]
}

// usersTo returns the keys of the first n users.
func usersTo(n int) []exchange.UserKey {
	keys := make([]exchange.UserKey, n)
	for i := range keys {
		keys[i] = user(i)
	}
	return keys
}
