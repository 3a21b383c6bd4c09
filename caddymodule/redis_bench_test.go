package caddymodule

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

var redisUsers = flag.Int("redis-users", 100_000, "of 1,000, 100,000 and 1,000,000 BenchmarkRedis puts at most so many users into Redis")

// BenchmarkRedis is a token that is in Redis and not in the memory, beside one that
// is in the memory of the same handler: the lookup alone and a whole handler. Random
// users are asked for. hmget/op is how often Redis was asked for a token.
//
//	go test ./caddymodule -run '^$' -bench Redis -redis-users 1000000
func BenchmarkRedis(b *testing.B) {
	r := redistest.Start(b)
	for _, users := range benchUsers {
		if users > *redisUsers {
			continue
		}
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			h := inRedis(b, r, users)
			for _, from := range []struct {
				name   string
				forget func(exchange.UserKey)
			}{{"memory", func(exchange.UserKey) {}}, {"redis", h.account.cache.Forget}} {
				b.Run("lookup/"+from.name, func(b *testing.B) { benchLookup(b, r, h, from.forget) })
				b.Run("handler/"+from.name, func(b *testing.B) { benchRedisHit(b, r, h, from.forget) })
			}
		})
	}
}

// benchLookup looks up users whom before was called for.
func benchLookup(b *testing.B, r *redistest.Server, h benched, before func(exchange.UserKey)) {
	q, _ := identified(b, h.endpoint, benchRequest(newSink(), 1))
	var keys []exchange.UserKey
	next := shuffled(len(h.keys))
	countRedis(b, r, func(n int) {
		for range n {
			key := h.keys[next()]
			before(key)
			keys = append(keys, key)
		}
	}, func() {
		if found := lookup(q, keys[0]); found.Err != nil {
			b.Fatal(found.Err)
		}
		keys = keys[1:]
	})
}

// benchRedisHit is the same for requests.
func benchRedisHit(b *testing.B, r *redistest.Server, h benched, before func(exchange.UserKey)) {
	w := newSink()
	var requests []*http.Request
	next := shuffled(len(h.keys))
	countRedis(b, r, func(n int) {
		for range n {
			user := next()
			before(h.keys[user])
			requests = append(requests, benchRequest(w, user))
		}
	}, func() {
		asked(b, h.endpoint, w, requests[0])
		requests = requests[1:]
	})
}

// shuffled are users in an order in which none comes twice among a thousand: the
// second time the token would be in the memory.
func shuffled(users int) (next func() int) {
	const step = 618_033 // has no divisor in common with a power of ten
	user := rand.IntN(users)
	return func() int {
		user = (user + step) % users
		return user
	}
}

// countRedis is timed, with what Redis is asked for.
func countRedis(b *testing.B, r *redistest.Server, prepare func(n int), do func()) {
	n := 0
	before := r.Calls("hmget")
	timed(b, prepare, func() { n++; do() })
	b.ReportMetric(float64(r.Calls("hmget")-before)/float64(n), "hmget/op")
}

// inRedis is a handler whose memory and Redis have tokens of so many users.
func inRedis(b *testing.B, r *redistest.Server, users int) benched {
	h := benchHuma(users)
	var err error
	if h.Cache.StoreRaw, err = json.Marshal(map[string]any{
		"module":          "redis",
		"address":         []string{r.Addr()},
		"encryption_keys": []string{"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},
		"timeout":         "10s", // also on a busy machine
	}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(begin(b, h))
	for end := time.Now().Add(10 * time.Second); !h.endpoint.current.Load().policy.Shared.Up(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("Redis is not there")
		}
	}
	full := fill(b, &h.endpoint, users)
	q, _ := identified(b, &h.endpoint, benchRequest(newSink(), 0))
	rec := exchange.Record{Grant: benchGrant(0), Until: time.Now().Add(time.Hour)}
	var wg sync.WaitGroup
	for part := range slices.Chunk(full.keys, users/50) { // many at a time go together
		wg.Go(func() {
			for _, key := range part {
				if kept, err := q.creds.policy.Shared.Put(b.Context(), key, q.kind, rec, "", false); !kept {
					b.Error("it is not kept:", err)
					return
				}
			}
		})
	}
	wg.Wait()
	return full
}
