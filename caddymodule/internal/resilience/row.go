package resilience

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// row counts failures without a success between them: a service that has just
// died has a window full of successes, which would hide that for seconds.
//
// Calls that were on their way when the first one failed count as that one,
// because they may have shared a connection that broke, and the next call has
// a new one. Unless they timed out: those have asked all the time.
type row struct {
	window time.Duration // a row that began longer ago begins anew

	mu    sync.Mutex
	n     int
	first time.Time // when its first failure was reported
}

// add counts the end of a call that is not excluded from counting.
func (r *row) add(began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !exchange.IsOutage(err):
		r.n = 0
	case r.n == 0 || time.Since(r.first) > r.window:
		r.n, r.first = 1, time.Now()
	case began.After(r.first) || timedOut(err):
		r.n++
	}
}

func (r *row) end() {
	r.mu.Lock()
	r.n = 0
	r.mu.Unlock()
}

func (r *row) length() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func timedOut(err error) bool {
	var transport *exchange.TransportError
	return errors.As(err, &transport) && transport.Timeout
}
