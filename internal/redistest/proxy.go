package redistest

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// commandName matches the beginning of a command in RESP, up to its name. Clients send a
// command at once, so that it is not split.
var commandName = regexp.MustCompile(`\*[0-9]+\r\n\$[0-9]+\r\n(\w+)\r\n`)

// Proxy is a TCP proxy in front of a server that records the traffic. Create it with
// StartProxy.
type Proxy struct {
	l       net.Listener
	running sync.WaitGroup

	mu      sync.Mutex
	server  *Server
	closed  bool
	conns   []net.Conn
	traffic Traffic
}

// Traffic is the traffic between clients and a server.
type Traffic struct {
	Commands []string // names of the commands, in lower case

	// RoundTrips is the number of replies to data from a client. Pipelined commands are
	// one round trip, and push messages are none.
	RoundTrips int

	Received, Sent int // bytes, from the server's point of view
}

// Sub returns the traffic since an earlier result of Proxy.Traffic.
func (t Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{
		Commands:   t.Commands[len(earlier.Commands):],
		RoundTrips: t.RoundTrips - earlier.RoundTrips,
		Received:   t.Received - earlier.Received,
		Sent:       t.Sent - earlier.Sent,
	}
}

// StartProxy starts a proxy to a server. It is closed at the end of the test.
func StartProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{l: l, server: s}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the host:port of the proxy.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Traffic returns the traffic so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	traffic := p.traffic
	traffic.Commands = slices.Clone(traffic.Commands)
	return traffic
}

// SwitchTo forwards new connections to another server, as after a failover behind one
// address. Open connections are not affected.
func (p *Proxy) SwitchTo(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = s
}

// addr returns the address of the current server.
func (p *Proxy) addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.Addr()
}

// close closes the listener and all connections.
func (p *Proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

// track adds a pair of connections, for close. If the proxy is closed, it closes them and
// returns false.
func (p *Proxy) track(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns = append(p.conns, client, server)
		return true
	}
	_, _ = client.Close(), server.Close()
	return false
}

// accept accepts and forwards connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		var d net.Dialer
		server, err := d.DialContext(context.Background(), "tcp", p.addr())
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.track(client, server) {
			return
		}
		pendingReply := false // guarded by p.mu
		p.running.Go(func() {
			p.copy(client, server, func(data []byte) {
				pendingReply = true
				for _, m := range commandName.FindAllSubmatch(data, -1) {
					p.traffic.Commands = append(p.traffic.Commands, strings.ToLower(string(m[1])))
				}
				p.traffic.Received += len(data)
			})
		})
		p.running.Go(func() {
			p.copy(server, client, func(data []byte) {
				if pendingReply {
					p.traffic.RoundTrips++
				}
				pendingReply = false
				p.traffic.Sent += len(data)
			})
		})
	}
}

// copy forwards data in one direction. It calls record with the data first.
func (p *Proxy) copy(from, to net.Conn, record func([]byte)) {
	defer func() { _, _ = from.Close(), to.Close() }()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		record(b[:n])
		p.mu.Unlock()
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
