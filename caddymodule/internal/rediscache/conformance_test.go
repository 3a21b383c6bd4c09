package rediscache

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// runSuites runs the conformance suites with two Stores as the two replicas.
func runSuites(t *testing.T, a, b opened) {
	var n atomic.Int64
	id := func() string { return fmt.Sprint("account ", n.Add(1)) } // another one is an empty one
	testShared(t, func(*testing.T) (exchange.SharedStore, exchange.SharedStore) {
		id := id()
		return a.account(id), b.account(id)
	})
	testLocks(t, func(*testing.T) (exchange.SignUpLocks, exchange.SignUpLocks) {
		id := id()
		return a.locks(id), b.locks(id)
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	runSuites(t, ready(t, r.Addr()), ready(t, r.Addr()))
}
