package caddymodule

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// BenchmarkStages is what each stage of an answer from the memory takes. Only the
// lookup depends on the number of users; random ones are looked up. What it takes
// in Redis is in BenchmarkRedis, and the exchange in BenchmarkExchange.
//
//	go test ./caddymodule -run '^$' -bench Stages
func BenchmarkStages(b *testing.B) {
	w := newSink()
	h := fullHandler(b, 1_000)
	q, key := identified(b, h.endpoint, benchRequest(w, 1))
	kept := lookup(q, key)
	if !kept.Kept {
		b.Fatal("no token is kept")
	}
	for _, stage := range []struct {
		name string
		do   func()
	}{
		{"request", func() { newRequest(h.endpoint, q.http) }},
		{"identity", func() { _, _ = h.identity.Identify(b.Context(), &q.asked) }},
		{"key", func() { q.creds.users.key(q.user) }},
		{"kind", func() { _, _, _ = q.creds.tokens.kind(q.http) }},
		{"answer", func() { write(w, http.StatusOK, "application/json", kept.Grant.AppendJSON(w.body[:0], time.Now())) }},
	} {
		b.Run(stage.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				stage.do()
			}
		})
	}
	for _, users := range benchUsers {
		b.Run(fmt.Sprintf("lookup/users=%d", users), func(b *testing.B) {
			h := fullHandler(b, users)
			q, _ := identified(b, h.endpoint, benchRequest(w, 1))
			b.ReportAllocs()
			for b.Loop() {
				lookup(q, h.keys[rand.IntN(users)])
			}
		})
	}
}

// lookup is that stage: in the memory, and then wherever else a token may be.
func lookup(q *request, user exchange.UserKey) exchange.Result {
	q.key = user
	return q.token()
}
