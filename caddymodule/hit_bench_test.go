package caddymodule_test

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkHitRatios measures a whole handler that responds from the memory cache, and
// Caddy's respond handler with the same bytes and headers, in short alternating rounds, so
// that other load on the machine affects all of them equally. It reports the ratios of the
// medians.
// x_respond is a hit among 1,000 users compared with respond; it should be at most 1.5.
// x_20k_users is a hit among 20,000 users compared with one among 1,000. See `cmd/bench
// grow` for a million users, and TestHitAllocations for the allocations of a hit.
//
//	go test ./caddymodule -run '^$' -bench HitRatios -benchtime 1x
func BenchmarkHitRatios(b *testing.B) {
	const rounds, requests = 15, 10_000
	w := newSink()
	round := func(h caddyhttp.MiddlewareHandler, users int) float64 {
		var took time.Duration
		for range requests / benchBatch {
			batch := randomRequests(w, benchBatch, users)
			start := time.Now()
			for _, r := range batch {
				mustServe(b, h, w, r)
			}
			took += time.Since(start)
		}
		return float64(took) / requests
	}
	few, many := fullHandler(b, benchUsers[0]), fullHandler(b, benchUsers[1])
	respond := staticResponse(b, few)
	for b.Loop() {
		var static []float64
		var hits [2][]float64
		for range rounds {
			static = append(static, round(respond, benchUsers[0]))
			hits[0] = append(hits[0], round(few, benchUsers[0]))
			hits[1] = append(hits[1], round(many, benchUsers[1]))
		}
		b.ReportMetric(median(hits[0])/median(static), "x_respond")
		b.ReportMetric(median(hits[1])/median(hits[0]), "x_20k_users")
		b.ReportMetric(0, "ns/op") // meaningless here
	}
}
