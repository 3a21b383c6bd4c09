package rediscache

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// TestAStartWaitsForTheFirstLook: who asks before anybody has looked whether the
// store is there waits for that, and not longer than for an operation.
func TestAStartWaitsForTheFirstLook(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	lock := func(s opened) error { _, err := s.locks("s").Lock(t.Context(), "u", time.Minute); return err }
	get := func(s opened) error { _, _, _, err := s.account("a").Get(t.Context(), "u", "ios"); return err }
	for name, do := range map[string]func(opened) error{"Lock": lock, "Get": get} {
		if err := do(open(t, r.Addr())); err != nil {
			t.Errorf("%s at the start = %v", name, err)
		}
	}
	s := open(t, r.Addr())
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.locks("s").Lock(ended, "v", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock of who has left = %v", err)
	}

	r.Stop()
	defer r.Continue()
	for name, do := range map[string]func(opened) error{"Lock": lock, "Get": get} {
		s := open(t, r.Addr(), short)
		start := time.Now()
		if err := do(s); !errors.Is(err, exchange.ErrDown) {
			t.Errorf("%s at one that hangs = %v", name, err)
		}
		if d := time.Since(start); d < DefaultTimeout || d > DefaultTimeout+noise {
			t.Errorf("%s at one that hangs took %s", name, d)
		}
	}
}
