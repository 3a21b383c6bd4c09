package rediscache

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// TestAStartWaitsForTheFirstLook checks that a read before the first health check, as
// in the first step of each exchange, waits for it, for at most the timeout of an
// operation.
func TestAStartWaitsForTheFirstLook(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	get := func(ctx context.Context, s opened) error {
		_, _, _, err := s.account("a").Get(ctx, "u", "ios")
		return err
	}
	if err := get(t.Context(), open(t, r.Addr())); err != nil {
		t.Errorf("Get at the start = %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := get(ended, open(t, r.Addr())); !errors.Is(err, context.Canceled) {
		t.Errorf("Get of who has left = %v", err)
	}

	r.Stop()
	defer r.Continue()
	s := open(t, r.Addr(), short)
	start := time.Now()
	if err := get(t.Context(), s); !errors.Is(err, exchange.ErrDown) {
		t.Errorf("Get at one that hangs = %v", err)
	}
	if d := time.Since(start); d < DefaultTimeout || d > DefaultTimeout+slack {
		t.Errorf("Get at one that hangs took %s", d)
	}
}
