// Package faultproxy is a TCP proxy that injects faults, for tests. It listens on a
// loopback address, forwards connections to a service, and can refuse, hang, reset,
// close, slow down or slice them.
//
//	proxy, err := faultproxy.New(service.Addr().String())
//	…
//	defer proxy.Close()
//	proxy.Set(faultproxy.Fault{Kind: faultproxy.Hang})
//	…
//	proxy.Set(faultproxy.Fault{}) // ends the fault
//
// It does not parse HTTP. It only assumes that requests and responses alternate, as in
// HTTP/1, which is enough to count requests.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/freeport"
)

// Proxy forwards connections to a service. Create it with New. It is safe for concurrent
// use.
type Proxy struct {
	service string
	address string

	accepted, requests atomic.Int64

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	conns    map[*conn]struct{}
	fault    func() Fault // returns the fault of a connection
	closed   bool
	wg       sync.WaitGroup
}

// Stats are the counters of a Proxy.
type Stats struct {
	Accepted int64 // accepted connections since New
	Open     int   // open connections
	Requests int64 // requests of which a part was received, also if nothing was forwarded
}

// New listens on a free loopback port and forwards connections to the service at the
// given host:port. The caller must call Close.
func New(service string) (*Proxy, error) {
	// The system does not assign such a port to another process while the proxy refuses
	// connections.
	address, err := freeport.Address(context.Background())
	if err != nil {
		return nil, err
	}
	listener, err := listenOn(address)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		service: service,
		address: address,
		conns:   make(map[*conn]struct{}),
		fault:   func() Fault { return Fault{} },
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve(listener)
	return p, nil
}

// listenOn listens on an address.
func listenOn(address string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(context.Background(), "tcp", address)
}

// Addr returns the host:port for clients.
func (p *Proxy) Addr() string { return p.address }

// Stats returns the current counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Accepted: p.accepted.Load(), Open: len(p.conns), Requests: p.requests.Load()}
}

// Set injects a fault into all connections, including open ones, until the next Set or
// Each. The error is that of an invalid fault, net.ErrClosed after Close, or that the
// port cannot be listened on again after Refuse.
func (p *Proxy) Set(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	return p.change(f.Kind == Refuse, func() Fault { return f })
}

// Each injects the fault that f returns, which can be another one for each connection.
// f is called now for each open connection, and later for each accepted one. A single
// connection cannot be refused: Refuse resets it. f must not call the Proxy. It is
// called by one goroutine at a time.
func (p *Proxy) Each(f func() Fault) error { return p.change(false, f) }

// change sets the fault of open and later connections, and starts or stops listening.
func (p *Proxy) change(refuse bool, fault func() Fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.fault = fault
	for c := range p.conns {
		c.set(fault())
	}
	switch {
	case refuse && p.listener != nil:
		_ = p.listener.Close()
		p.listener = nil
	case !refuse && p.listener == nil:
		listener, err := listenOn(p.address)
		if err != nil {
			return fmt.Errorf("faultproxy: listen on %s again: %w", p.address, err)
		}
		p.serve(listener)
	}
	return nil
}

// Close stops listening, resets all connections and waits for their goroutines. It always
// returns nil.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		c.reset()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// serve accepts connections in a goroutine. The caller holds p.mu.
func (p *Proxy) serve(listener net.Listener) {
	p.listener = listener
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				time.Sleep(time.Millisecond) // for example, no free file descriptor
				continue
			}
			p.accept(client.(*net.TCPConn), listener)
		}
	})
}

// accept serves a connection in a goroutine. If its listener has been closed meanwhile,
// it resets the connection.
func (p *Proxy) accept(client *net.TCPConn, listener net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	p.accepted.Add(1)
	c := newConn(p, client)
	c.set(p.fault())
	p.conns[c] = struct{}{}
	p.wg.Go(func() {
		c.serve()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	})
}
