// Package freeport finds free loopback ports for servers that are started in tests.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// The ports are below the ephemeral ports, so that no outgoing connection can take a free
// port before the server listens on it, or while the server restarts.
const (
	firstPort = 10_000
	ports     = 10_000
	attempts  = 100 // of Find, with different ports
)

// next is incremented by Find, so that successive calls return different ports even if
// no server listens on them yet.
var next atomic.Uint32

func init() { next.Store(rand.Uint32()) }

// Find returns a port of 127.0.0.1 on which no process listens.
func Find(ctx context.Context) (int, error) {
	var (
		c   net.ListenConfig
		err error
	)
	for range attempts {
		port := firstPort + int(next.Add(1)%ports)
		var l net.Listener
		if l, err = c.Listen(ctx, "tcp", address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// Address is Find that returns host:port.
func Address(ctx context.Context) (string, error) {
	port, err := Find(ctx)
	return address(port), err
}

// address returns the host:port of a port.
func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
