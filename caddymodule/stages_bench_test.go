package caddymodule

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// BenchmarkStages is what each stage of an answer from the cache takes.
//
//	go test ./caddymodule -run '^$' -bench Stages -benchmem
func BenchmarkStages(b *testing.B) {
	h := benchHandler(b, 1_000)
	w := &sink{header: make(http.Header)}
	q := newRequest(&h.endpoint, benchRequest(w, 1))
	user, err := h.identity.Identify(b.Context(), &q.asked)
	if err != nil {
		b.Fatal(err)
	}
	q.user = user
	key := q.users.key(user)
	kind, _, bad := q.credentials.kind(q.Request)
	if bad != "" {
		b.Fatal(bad)
	}
	ask := &exchange.Request{User: key, Kind: exchange.Kind(kind), Policy: &q.credentials.policy}
	kept, ok := ask.Kept(time.Now())
	if !ok {
		b.Fatal("no token is kept")
	}
	for _, stage := range []struct {
		name string
		do   func()
	}{
		{"request", func() { newRequest(&h.endpoint, q.Request) }},
		{"identity", func() { _, _ = h.identity.Identify(b.Context(), &q.asked) }},
		{"key", func() { q.users.key(user) }},
		{"kind", func() { _, _, _ = q.credentials.kind(q.Request) }},
		{"lookup", func() { ask.Kept(time.Now()) }},
		{"answer", func() { write(w, http.StatusOK, "application/json", kept.Grant.AppendJSON(w.body[:0], time.Now())) }},
	} {
		b.Run(stage.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				stage.do()
			}
		})
	}
}
