// Package freeport finds loopback ports for servers that are about to start.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// The ports lie below those that systems hand out for outgoing connections: with
// many of those, a free port may be taken before the server has it, and while it
// is restarted.
const (
	firstPort = 10_000
	ports     = 10_000
	attempts  = 100
)

// next is where Find looks next: no port is given out twice, also if nobody has
// listened on it yet.
var next atomic.Uint32

func init() { next.Store(rand.Uint32()) }

// Find returns a port of 127.0.0.1 that nobody listens on.
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

// Address is Find for who needs host:port.
func Address(ctx context.Context) (string, error) {
	port, err := Find(ctx)
	return address(port), err
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
