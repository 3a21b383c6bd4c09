package rediscache

import (
	"context"
	"flag"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// textLen is about the length of the text of a real response.
const textLen = 700

// token returns a token whose response has textLen bytes without its lifetimes.
func token() *exchange.Token {
	const rest = len(`{"authToken":"","authTokenExpiresIn":,"refreshTokenExpiresIn":,"expiresIn":}`)
	return exchange.NewToken(time.Now()).Text("authToken", strings.Repeat("x", textLen-rest)).
		Lifetime("authTokenExpiresIn", time.Hour).
		Lifetime("refreshTokenExpiresIn", time.Hour).
		Lifetime("expiresIn", time.Hour).Token()
}

// number returns one number of Redis' INFO.
func number(t testing.TB, r *redistest.Server, section, name string) int {
	t.Helper()
	for line := range strings.SplitSeq(r.Text("INFO", section), "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("INFO %s has no %s", section, name)
	return 0
}

// forEach calls do for so many users, many at a time.
func forEach(t testing.TB, users int, do func(i int) error) {
	t.Helper()
	var (
		wg   sync.WaitGroup
		next atomic.Int64
	)
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < users; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// packed is the server option for storing a user's tokens in one piece of memory.
var packed = []string{"--hash-max-listpack-value", "2048"}

// leftovers are the keys that users leave in Redis.
var leftovers = []struct {
	name  string
	args  []string // of the server
	most  float64  // bytes per user
	leave func(ctx context.Context, s opened, i int) error
}{
	{"a token", nil, 1400, tokens("ios")},
	{"a token, packed", packed, 1250, tokens("ios")},
	{"two tokens", nil, 2500, tokens("ios", "android")},
	{"two tokens, packed", packed, 2250, tokens("ios", "android")},
	{"evicted", nil, 300, func(ctx context.Context, s opened, i int) error {
		return s.account("a").Evict(ctx, userOf(i))
	}},
	{"signed up", nil, 300, func(ctx context.Context, s opened, i int) error {
		_, err := s.locks("s").Lock(ctx, userOf(i), time.Minute)
		return err
	}},
}

// tokens puts one token for each variant.
func tokens(variants ...exchange.Variant) func(ctx context.Context, s opened, i int) error {
	return func(ctx context.Context, s opened, i int) error {
		for _, variant := range variants {
			rec := exchange.Record{Token: token(), Until: time.Now().Add(5 * time.Minute)}
			if _, err := s.account("a").Put(ctx, userOf(i), variant, rec, "", false); err != nil {
				return err
			}
		}
		return nil
	}
}

// bytesPerUser returns the memory of one user in Redis: what Redis has requested, and
// what the operating system provides for that.
func bytesPerUser(t testing.TB, users int, args []string, leave func(ctx context.Context, s opened, i int) error) (used, resident float64) {
	t.Helper()
	r := startServer(t, args...)
	s := ready(t, r.Addr())
	fill := func(from, users int) {
		forEach(t, users, func(i int) error { return leave(t.Context(), s, from+i) })
	}
	const first = 1000 // until then, connections and scripts allocate their memory
	fill(0, first)
	usedBefore, residentBefore := number(t, r, "memory", "used_memory"), number(t, r, "memory", "used_memory_rss")
	fill(first, users)
	used = float64(number(t, r, "memory", "used_memory") - usedBefore)
	resident = float64(number(t, r, "memory", "used_memory_rss") - residentBefore)
	return used / float64(users), resident / float64(users)
}

// TestMemoryPerUser checks the numbers that the manual gives for planning.
func TestMemoryPerUser(t *testing.T) {
	t.Parallel()
	for _, l := range leftovers {
		t.Run(l.name, func(t *testing.T) {
			used, _ := bytesPerUser(t, 3_000, l.args, l.leave)
			if t.Logf("%.0f bytes a user", used); used > l.most || used < l.most/4 {
				t.Errorf("a user takes %.0f bytes, want at most %.0f and more than a quarter of that", used, l.most)
			}
		})
	}
}

// TestEviction checks that with the policy that the manual recommends, a full store
// evicts tokens but not the tombstones that prevent them from coming back.
func TestEviction(t *testing.T) {
	t.Parallel()
	const tombstones, manyTokens = 500, 10_000
	r := startServer(t, "--maxmemory-policy", "volatile-ttl")
	s := ready(t, r.Addr())
	a := s.account("evicted")
	forEach(t, tombstones, func(i int) error { return a.Evict(t.Context(), userOf(i)) })
	r.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(number(t, r, "memory", "used_memory")+2<<20))
	put := tokens("ios")
	forEach(t, manyTokens, func(i int) error { return put(t.Context(), s, i) })
	if n := len(r.Texts("KEYS", a.prefix+"*")); n < tombstones*99/100 { // Redis samples keys and does not compare all of them
		t.Errorf("%d of %d are left", n, tombstones)
	}
	if n := len(r.Texts("KEYS", s.account("a").prefix+"*")); n < 100 || n > manyTokens/2 {
		t.Errorf("%d tokens are left", n)
	}
	if !s.Up() {
		t.Error("it is down")
	}
}

var usersFlag = flag.Int("users", 100_000, "how many BenchmarkMemory makes; with -short 5,000")

func benchUsers() int {
	if testing.Short() {
		return min(*usersFlag, 5_000)
	}
	return *usersFlag
}

// BenchmarkMemory measures the memory of one user in the store.
func BenchmarkMemory(b *testing.B) {
	for _, l := range leftovers {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				used, resident := bytesPerUser(b, benchUsers(), l.args, l.leave)
				b.ReportMetric(used, "B/user")
				b.ReportMetric(resident, "B-resident/user")
			}
		})
	}
}
