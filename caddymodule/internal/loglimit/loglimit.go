// Package loglimit limits how often a log message is logged.
package loglimit

import (
	"sync"
	"time"
)

// Limiter limits log messages that any request can trigger: it allows one message of
// each kind per interval, and counts the others. The zero value is ready for use. The
// kinds come from closed sets, so the map stays small. It is safe for concurrent use.
type Limiter struct {
	mu    sync.Mutex
	kinds map[string]*sample
}

type sample struct {
	next       time.Time // no message is allowed before
	suppressed int       // messages since the last one that was allowed
}

// Allow reports whether a message of a kind may be logged now. If so, suppressed is the
// number of messages that were not allowed since the previous allowed one.
func (l *Limiter) Allow(kind string, every time.Duration) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		if l.kinds == nil {
			l.kinds = make(map[string]*sample)
		}
		k = new(sample)
		l.kinds[kind] = k
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
