package caddymodule

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/histogram"
)

// BenchmarkHitSweep is how long single requests take that a whole handler answers
// from its memory, while a million users are swept, of whom every other one has
// expired, and when the sweep has ended, in alternating rounds: x_p99.9, which shall
// be at most 2, is how much longer the longest thousandth of them takes. One
// goroutine asks, so that on two cores the sweep has the other one. (BenchmarkSweep
// of the memory looks closer.)
//
//	go test ./caddymodule -run '^$' -bench HitSweep -benchtime 1x
func BenchmarkHitSweep(b *testing.B) {
	const rounds, users = 3, 1_000_000
	keys := fullHandler(b, users).keys
	delete(full, users) // to have room for those who are swept
	for b.Loop() {
		var with, without, longest, longestWithout []float64
		for range rounds {
			during, after := sweptHits(b, keys)
			with, longest = append(with, float64(during.Quantile(0.999))), append(longest, float64(during.Max()))
			without, longestWithout = append(without, float64(after.Quantile(0.999))), append(longestWithout, float64(after.Max()))
		}
		b.ReportMetric(median(with)/median(without), "x_p99.9")
		b.ReportMetric(median(with), "p99.9-ns")
		b.ReportMetric(slices.Max(longest), "longest-ns")
		b.ReportMetric(slices.Max(longestWithout), "longest-ns-without")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

// sweptHits are the latencies of hits while the memory is swept, and afterwards: a
// sweep ends with the config.
func sweptHits(b *testing.B, keys []exchange.UserKey) (during, after *histogram.Histogram) {
	h := benchHuma(len(keys)) // the same account, so the keys are the same
	end := begin(b, h)
	benched{&h.endpoint, keys}.put(b, func(user int) time.Duration {
		if user%2 == 1 {
			return time.Millisecond
		}
		return time.Hour
	})
	runtime.GC() // so that it does not come during a round
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	during = latencies(b, &h.endpoint, len(keys))
	end()
	return during, latencies(b, &h.endpoint, len(keys))
}

// latencies are those of single hits, of random users who have not expired.
func latencies(b *testing.B, e *endpoint, users int) *histogram.Histogram {
	const hits = 100_000
	w, l := newSink(), new(histogram.Histogram)
	for range hits {
		r := benchRequest(w, rand.IntN(users)&^1)
		start := time.Now()
		asked(b, e, w, r)
		l.Add(time.Since(start))
	}
	return l
}
