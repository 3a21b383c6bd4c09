package rediscache

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// runSuites runs the conformance suites with two Stores as the two replicas.
func runSuites(t *testing.T, a, b *Store) {
	var n atomic.Int64
	id := func() string { return fmt.Sprint("account ", n.Add(1)) } // another one is an empty one
	storetest.RunShared(t, func(*testing.T) (exchange.Shared, exchange.Shared) {
		id := id()
		return a.Account(id), b.Account(id)
	})
	storetest.RunSignUps(t, func(*testing.T) (exchange.SignUps, exchange.SignUps) {
		id := id()
		return a.SignUps(id), b.SignUps(id)
	})
}

func TestConformance(t *testing.T) {
	r := startServer(t)
	runSuites(t, ready(t, r.Addr()).Store, ready(t, r.Addr()).Store)
}
