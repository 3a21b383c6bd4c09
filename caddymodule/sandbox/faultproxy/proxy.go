// Package faultproxy is a TCP proxy for tests. It stands on a loopback address
// between a client and a service, and makes happen what happens to connections:
// refused, hanging, reset, cut, slow, or sliced into single bytes.
//
//	proxy, err := faultproxy.New(service.Addr().String())
//	…
//	defer proxy.Close()
//	proxy.Set(faultproxy.Fault{Kind: faultproxy.Hang})
//	…
//	proxy.Set(faultproxy.Fault{}) // all is well again
//
// It knows nothing of HTTP but that a client asks and the service answers, in
// turns: so it also counts the requests that came to it, with HTTP/1.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy passes connections on to a service. Use New. It is safe for concurrent
// use.
type Proxy struct {
	service string
	address string

	accepted, requests atomic.Int64

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	conns    map[*conn]struct{}
	fault    func() Fault // for a connection
	closed   bool
	wg       sync.WaitGroup
}

// Stats are a Proxy's counts.
type Stats struct {
	Accepted int64 // connections so far
	Open     int   // connections now
	Requests int64 // requests that began to arrive, also those that no service saw
}

// New listens on a free loopback port and passes connections on to the service
// at the given address.
func New(service string) (*Proxy, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		service: service,
		address: listener.Addr().String(),
		conns:   make(map[*conn]struct{}),
		fault:   func() Fault { return Fault{} },
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve(listener)
	return p, nil
}

// Ports to listen on. They lie below those that systems hand out for outgoing
// connections and for port 0, so nobody else is given the port of a proxy that
// refuses connections for a while.
const (
	firstPort = 20000
	lastPort  = 29999
	attempts  = 100
)

func listen() (listener net.Listener, err error) {
	for range attempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err = listenOn(fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return listener, nil
		}
	}
	return nil, fmt.Errorf("faultproxy: find a free port: %w", err)
}

func listenOn(address string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(context.Background(), "tcp", address)
}

// Addr is the address that clients connect to.
func (p *Proxy) Addr() string { return p.address }

// Stats returns the counts.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Accepted: p.accepted.Load(), Open: len(p.conns), Requests: p.requests.Load()}
}

// Set makes a fault happen to all connections, those that are open included,
// until the next Set or Each.
func (p *Proxy) Set(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	return p.change(f.Kind == Refuse, func() Fault { return f })
}

// Each asks for a fault for each connection: now for those that are open, and
// when it is accepted for each later one. A single connection cannot be
// refused, so to one of them Refuse is a reset. f is called with locks held and
// by one goroutine at a time: it must not call the Proxy.
func (p *Proxy) Each(f func() Fault) error { return p.change(false, f) }

// change sets the fault of open connections and of later ones.
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
			return fmt.Errorf("faultproxy: listen again: %w", err)
		}
		p.serve(listener)
	}
	return nil
}

// Close stops listening, resets all connections and waits for their end.
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

// serve accepts connections in the background. p.mu is held.
func (p *Proxy) serve(listener net.Listener) {
	p.listener = listener
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				time.Sleep(time.Millisecond) // out of descriptors, say
				continue
			}
			p.accept(client.(*net.TCPConn), listener)
		}
	})
}

// accept takes a connection. One that the listener still had when it was
// closed is not taken.
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
