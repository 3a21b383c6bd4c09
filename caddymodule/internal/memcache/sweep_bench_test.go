package memcache

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/histogram"
)

// BenchmarkSweep measures how long single hits take while a million users are swept,
// and while they are not, in alternating rounds. x_p99.9, which should be at most 2, is
// how much longer the slowest thousandth of the hits takes. One goroutine reads, so
// that on two cores the sweep has the other core. The sweep runs at its normal pace (4
// of 1,024 shards every quarter of a second) or without pauses, as for hits during a
// sweep. It finds no expired user, or has to delete every other one.
//
// hold-ns is how long a sweep blocks a Put into the same shard: median and maximum.
//
//	go test ./caddymodule/internal/memcache -run '^$' -bench Sweep -benchtime 1x
func BenchmarkSweep(b *testing.B) {
	users := manyUsers()
	for _, pace := range []struct {
		name   string
		shards int // maximum number of shards per round
		run    func(s *swept, shards int)
	}{
		{"paced", 3 * sweepStep, (*swept).paced},
		{"unpaced", shardCount / 4, (*swept).unpaced},
	} {
		for _, find := range []struct {
			name   string
			before func(s *swept, shards int)
		}{
			{"nothing", func(*swept, int) {}},
			{"every other user", (*swept).expire},
		} {
			b.Run(pace.name+"/drops "+find.name, func(b *testing.B) {
				c := fullCache(users)
				s := &swept{Cache: c, store: c.Limit(users), keys: usersTo(users)}
				for b.Loop() {
					s.compare(b, func() { find.before(s, pace.shards) }, func() { pace.run(s, pace.shards) })
				}
			})
		}
	}
}

// swept is a full cache that is read while it is swept.
type swept struct {
	*Cache
	store exchange.Store
	keys  []exchange.UserKey
	holds latencies // of the shards' locks
}

// latencies are in nanoseconds, because a hit takes less than a microsecond, the unit
// of a histogram.
type latencies struct{ histogram.Histogram }

func (l *latencies) since(start time.Time) { l.Add(time.Since(start) * 1000) }

// quantile returns nanoseconds.
func (l *latencies) quantile(q float64) float64 { return float64(l.Quantile(q).Microseconds()) }

// compare reads in rounds with and without a sweep, and reports the results.
func (s *swept) compare(b *testing.B, before, sweep func()) {
	rounds := 5
	if testing.Short() {
		rounds = 1 // only checks that the benchmark runs
	}
	// No garbage collection during a round. The garbage of the rounds is smaller than
	// the users.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var with, without, longest, longestWithout []float64
	for range rounds {
		before()
		var over atomic.Bool
		go func() {
			defer over.Store(true)
			sweep()
		}()
		l := s.ask(b, func(int64) bool { return !over.Load() })
		with, longest = append(with, l.quantile(0.999)), append(longest, l.quantile(1))

		n := l.Count()
		l = s.ask(b, func(reads int64) bool { return reads < n })
		without, longestWithout = append(without, l.quantile(0.999)), append(longestWithout, l.quantile(1))
	}
	b.ReportMetric(median(with)/median(without), "x_p99.9")
	b.ReportMetric(median(with), "p99.9-ns")
	b.ReportMetric(slices.Max(longest), "longest-ns")
	b.ReportMetric(slices.Max(longestWithout), "longest-ns-without")
	if s.holds.Count() > 0 {
		b.ReportMetric(s.holds.quantile(0.5), "hold-ns")
		b.ReportMetric(s.holds.quantile(1), "longest-hold-ns")
	}
	b.ReportMetric(0, "ns/op") // has no meaning here
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// ask reads random users who do not expire, as long as more returns true.
func (s *swept) ask(b *testing.B, more func(reads int64) bool) *latencies {
	l := new(latencies)
	for reads := int64(0); more(reads); reads++ {
		key := s.keys[rand.IntN(len(s.keys))&^1]
		start := time.Now()
		_, ok := s.store.Get(key, "ios", start)
		l.since(start)
		if !ok {
			b.Fatal("a miss")
		}
	}
	return l
}

// expire makes every other user in the first shards expire.
func (s *swept) expire(shards int) {
	first := make(map[*atomic.Pointer[shard]]bool)
	for i := range shards {
		first[&s.shards[i]] = true
	}
	const life = time.Millisecond
	r := exchange.Record{Token: token()}
	for i := 1; i < len(s.keys); i += 2 {
		if first[s.shard(s.keys[i])] {
			r.Until = time.Now().Add(life)
			s.store.Put(s.keys[i], "ios", r)
		}
	}
	time.Sleep(2 * life)
}

// paced runs the sweep at its normal pace until it has visited so many shards.
func (s *swept) paced(shards int) {
	stop := make(chan struct{})
	s.stop = stop // the previous one is closed
	// Half a step after the last one.
	time.AfterFunc(sweepRound/shardCount*time.Duration(2*shards+sweepStep)/2, func() { close(stop) })
	s.sweepAll()
}

// unpaced sweeps the first shards once, without pauses.
func (s *swept) unpaced(shards int) {
	for i := range shards {
		start := time.Now()
		s.shards[i].Load().sweep()
		s.holds.since(start)
	}
}
