package caddymodule

import (
	"sync"
	"time"
)

// sampler limits log messages that any request can trigger: of each kind it
// lets one through in an interval, and counts the others. The zero value is
// ready for use. The kinds come from closed sets, so there are few.
type sampler struct {
	mu    sync.Mutex
	kinds map[string]*sample
}

type sample struct {
	next       time.Time // when the next message may be logged
	suppressed int       // messages since the last one that was
}

// take reports whether a message of a kind is to be logged, and how many were
// not since the last one that was.
func (s *sampler) take(kind string, every time.Duration) (suppressed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil {
		if s.kinds == nil {
			s.kinds = make(map[string]*sample)
		}
		k = new(sample)
		s.kinds[kind] = k
	}
	now := time.Now()
	if now.Before(k.next) {
		k.suppressed++
		return 0, false
	}
	suppressed, k.suppressed = k.suppressed, 0
	k.next = now.Add(every)
	return suppressed, true
}
