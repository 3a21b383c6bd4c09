// Package freeport finds free loopback ports for servers that are started in tests.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// The ports are below the ephemeral ports, so that no outgoing connection can take a free
// port before the server listens on it, or while the server restarts. Each process uses its
// own block of them, because packages are tested in parallel.
const (
	firstPort = 10_000
	blocks    = 10
	blockSize = 1_000
	attempts  = 100 // of Find, with different ports
)

// next is incremented by Find, so that successive calls return different ports even if no
// server listens on them yet.
var next atomic.Uint32

// block returns the first port of the block of this process. The process claims its block
// with the listener, which must not be closed or collected as garbage before the process
// ends. If other processes use all blocks, block returns one of theirs, and nil.
var block = sync.OnceValues(func() (first int, claim net.Listener) {
	var c net.ListenConfig
	random := rand.IntN(blocks)
	for i := range blocks {
		first = firstPort + (random+i)%blocks*blockSize
		if l, err := c.Listen(context.Background(), "tcp", address(first)); err == nil {
			return first, l
		}
	}
	return firstPort + random*blockSize, nil
})

// Find returns a port of 127.0.0.1 on which no process listens.
func Find(ctx context.Context) (int, error) {
	var (
		c   net.ListenConfig
		err error
	)
	first, _ := block()
	for range attempts {
		port := first + 1 + int(next.Add(1)%(blockSize-1))
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
