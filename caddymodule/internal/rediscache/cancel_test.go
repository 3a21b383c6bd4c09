package rediscache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// long reports whether the tests may take a long time.
func long() bool { return os.Getenv("CADDY_HUMA_LONG") == "1" }

// TestR8_Canceled checks that no user gets another user's token while half of the calls
// are canceled at a random moment and some of the operations time out.
func TestR8_Canceled(t *testing.T) {
	reads := 50_000
	if long() {
		reads = 1_000_000
	}
	const users, workers = 200, 64
	r := startServer(t)
	// The timeout is sometimes too short, so that some responses arrive late.
	s := ready(t, r.Addr(), func(c *Config) { c.Timeout = 10 * time.Millisecond })
	writer := ready(t, r.Addr()).account("a")
	for i := range users {
		put(t, writer, userOf(i), fmt.Sprint("token of ", i))
	}
	a := s.account("a")
	var next, good, ended, other atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(reads); n = next.Add(1) {
				i := rand.IntN(users)
				ctx, cancel := context.WithCancel(t.Context())
				if n%2 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, cancel)
				}
				rec, found, _, err := a.Get(ctx, userOf(i), "ios")
				cancel()
				switch want := fmt.Sprint("token of ", i); {
				case err != nil && found:
					t.Errorf("a token with an error: %v", err)
				case errors.Is(err, exchange.ErrDown):
					s.state.Store(nil) // otherwise the store would be down most of the time
					next.Add(-1)
					time.Sleep(time.Millisecond)
				case err != nil:
					ended.Add(1)
				case !found:
					other.Add(1)
				case storetest.TokenOf(rec) != want:
					t.Errorf("user %d got the %s", i, storetest.TokenOf(rec))
				default:
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d reads: %d good, %d without a response", reads, good.Load(), ended.Load())
	if other.Load() > 0 || good.Load() < int64(reads)/100 {
		t.Errorf("%d good, %d misses", good.Load(), other.Load())
	}
	if n := readEvents(s.events, func() int { return s.unreadable }); n > 0 {
		t.Errorf("%d values could not be read", n)
	}
}

func userOf(i int) exchange.UserKey { return exchange.UserKey(fmt.Sprintf("user %026d", i)) }

// TestEvictWhileAPutIsUnderWay tests two replicas with their exchanges.
func TestEvictWhileAPutIsUnderWay(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	a, b := ready(t, r.Addr()).account("a"), ready(t, r.Addr()).account("a")
	put(t, a, "u", "old")
	_, _, seen, err := a.Get(t.Context(), "u", "web")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Evict(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	if kept, err := a.Put(t.Context(), "u", "web", storetest.RecordOf("w", time.Minute), seen, true); kept || err != nil {
		t.Errorf("Put = %v, %v", kept, err)
	}
	wantToken(t, b, "u", "")
}

// TestOneGetIsOneCommand checks that a Get is one command, and so are a Put and a Lock
// once the server has the scripts.
func TestOneGetIsOneCommand(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a, u := s.account("a"), s.locks("s")
	put(t, a, "u", "t")
	if _, err := u.Lock(t.Context(), "u", time.Minute); err != nil {
		t.Fatal(err)
	}
	// since checks how often a command was sent. It does not count the commands of
	// health checks, each of which begins with a PING.
	since := func(want map[string]int) {
		t.Helper()
		looks := r.CommandCalls("ping")
		for command, n := range want {
			if got := r.CommandCalls(command); got < n || got > n+2*(looks+1) { // one may be under way
				t.Errorf("%d %s with %d looks at the store, want %d", got, strings.ToUpper(command), looks, n)
			}
		}
		r.Do("CONFIG", "RESETSTAT")
	}
	r.Do("CONFIG", "RESETSTAT")
	const n = 50
	client := *s.client.Load()
	before := client.PoolStats().Misses
	for range n {
		wantToken(t, a, "u", "t")
	}
	since(map[string]int{"hmget": n, "get": 0, "hget": 0, "evalsha": 0, "eval": 0, "auth": 0, "select": 0})
	if opened := client.PoolStats().Misses - before; opened > 2 { // for health checks
		t.Errorf("%d new connections", opened)
	}
	_, _, seen, _ := a.Get(t.Context(), "u", "ios")
	for i := range n {
		if kept, err := a.Put(t.Context(), "u", "ios", storetest.RecordOf("t", time.Minute), seen, false); err != nil || !kept {
			t.Fatalf("Put = %v, %v", kept, err)
		}
		if _, err := u.Lock(t.Context(), userOf(i), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	since(map[string]int{"evalsha": n, "set": n, "get": 0, "hmget": 1, "eval": 0})
	r.Do("SCRIPT", "FLUSH") // as after a restart: the server needs the scripts again
	put(t, a, "u", "again")
	wantToken(t, a, "u", "again")
}
