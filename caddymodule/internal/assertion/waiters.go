package assertion

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// waiters limits how many requests wait for keys at once, and how long.
type waiters struct {
	max     int64         // 0: no limit
	timeout time.Duration // 0: no limit
	n       atomic.Int64
}

// waiter is one request that may have to wait for keys.
type waiter struct {
	*waiters
	until time.Time // zero: no limit
}

// waiter returns the waiter of a request that begins now.
func (w *waiters) waiter() waiter {
	if w.timeout == 0 {
		return waiter{waiters: w}
	}
	return waiter{w, time.Now().Add(w.timeout)}
}

// wait waits until a fetch ends, which closes running. It returns ErrKeysBusy at once if
// too many requests wait already, and ErrKeysUnavailable if the time of the request is
// over or ctx is done.
func (w waiter) wait(ctx context.Context, running <-chan struct{}) error {
	defer w.n.Add(-1)
	if n := w.n.Add(1); w.max > 0 && n > w.max {
		return identity.ErrKeysBusy
	}
	if !w.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.until)
		defer cancel()
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return identity.ErrKeysUnavailable
	}
}
