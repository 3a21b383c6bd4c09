package redistest

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Proxy is a TCP proxy in front of a server that records the traffic. Create it with
// StartProxy.
type Proxy struct {
	l       net.Listener
	running sync.WaitGroup

	mu      sync.Mutex
	server  *Server
	closed  bool
	conns   []net.Conn
	clients []net.Conn // the connections of clients, which are also in conns
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

// SendToClients sends text to all clients, as if it were from the server.
func (p *Proxy) SendToClients(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		_, _ = c.Write([]byte(text)) // an error means that the client has disconnected
	}
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
		p.clients = append(p.clients, client)
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
		var partial []byte    // the beginning of an incomplete command
		p.running.Go(func() {
			p.copy(client, server, func(data []byte) {
				pendingReply = true
				var names []string
				names, partial = commandsIn(append(partial, data...))
				p.traffic.Commands = append(p.traffic.Commands, names...)
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

// commandsIn returns the names of the complete commands in data from a client, and the
// remaining data of an incomplete one.
func commandsIn(data []byte) (names []string, rest []byte) {
	for {
		args, rest, ok := cutCommand(data)
		if !ok {
			return names, data
		}
		names, data = append(names, strings.ToLower(string(args[0]))), rest
	}
}

// cutCommand parses one command: a RESP array of bulk strings. ok is false if it is
// incomplete.
func cutCommand(data []byte) (args [][]byte, rest []byte, ok bool) {
	n, rest, ok := cutNumber(data)
	for range n {
		var length int
		if length, rest, ok = cutNumber(rest); !ok || len(rest) < length+2 {
			return nil, nil, false
		}
		args, rest = append(args, rest[:length]), rest[length+2:]
	}
	return args, rest, ok && len(args) > 0
}

// cutNumber parses a line with a type character and a number.
func cutNumber(data []byte) (n int, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(data, []byte("\r\n"))
	if !ok || len(line) < 2 {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	return n, rest, err == nil
}
