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

// BenchmarkSweep is how long single hits take while a million users are swept, and
// while they are not, in alternating rounds: x_p99.9, which shall be at most 2, is
// how much longer the longest thousandth of them takes. One goroutine asks, so that
// on two cores the sweep has the other one. The sweep runs as it does, 4 of 1,024
// shards every quarter of a second, or without these pauses, which is what hits meet
// that come during a sweep; and it finds nothing, or has to drop every other user.
//
// hold-ns is for how long a sweep holds up those who put users into the same shard,
// in the middle and at most.
//
//	go test ./caddymodule/internal/memcache -run '^$' -bench Sweep -benchtime 1x
func BenchmarkSweep(b *testing.B) {
	const users = 1_000_000
	for _, pace := range []struct {
		name   string
		shards int // that a round gets to, at most
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

// swept is a full cache that is asked while it is swept.
type swept struct {
	*Cache
	store exchange.Store
	keys  []exchange.UserKey
	holds latencies // of the shards' locks
}

// latencies are counted in nanoseconds: a hit takes less than the microseconds of
// which a histogram knows.
type latencies struct{ histogram.Histogram }

func (l *latencies) since(start time.Time) { l.Add(time.Since(start) * 1000) }

// quantile is in nanoseconds.
func (l *latencies) quantile(q float64) float64 { return float64(l.Quantile(q).Microseconds()) }

// compare asks in rounds with and without a sweep, and reports.
func (s *swept) compare(b *testing.B, before, sweep func()) {
	const rounds = 5
	// None during a round, and what the rounds leave behind is less than the users.
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
		l = s.ask(b, func(asked int64) bool { return asked < n })
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
	b.ReportMetric(0, "ns/op") // says nothing here
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// ask asks for random users of those who stay, as long as there is more.
func (s *swept) ask(b *testing.B, more func(asked int64) bool) *latencies {
	l := new(latencies)
	for asked := int64(0); more(asked); asked++ {
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

// expire makes every other user expire, in the first shards.
func (s *swept) expire(shards int) {
	first := make(map[*atomic.Pointer[shard]]bool)
	for i := range shards {
		first[&s.shards[i]] = true
	}
	const life = time.Millisecond
	r := exchange.Record{Grant: grant()}
	for i := 1; i < len(s.keys); i += 2 {
		if first[s.shard(s.keys[i])] {
			r.Until = time.Now().Add(life)
			s.store.Put(s.keys[i], "ios", r)
		}
	}
	time.Sleep(2 * life)
}

// paced is the sweep as it runs, until it has visited so many shards.
func (s *swept) paced(shards int) {
	stop := make(chan struct{})
	s.stop = stop // the one before is closed
	// Half a step later than the last one.
	time.AfterFunc(sweepRound/shardCount*time.Duration(2*shards+sweepStep)/2, func() { close(stop) })
	s.sweepAll()
}

// unpaced is one sweep of the first shards.
func (s *swept) unpaced(shards int) {
	for i := range shards {
		start := time.Now()
		s.shards[i].Load().sweep()
		s.holds.since(start)
	}
}
