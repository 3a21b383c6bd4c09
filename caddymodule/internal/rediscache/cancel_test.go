package rediscache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
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
