package rediscache

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// TestAStartWaitsForTheFirstLook: who reads before anybody has looked whether the
// store is there, as each exchange does first, waits for that, and not longer than for
// an operation.
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
	if d := time.Since(start); d < DefaultTimeout || d > DefaultTimeout+noise {
		t.Errorf("Get at one that hangs took %s", d)
	}
}
