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

// Proxy is a way to a server on which everything is seen that is said to it.
type Proxy struct {
	l       net.Listener
	running sync.WaitGroup

	mu      sync.Mutex
	server  *Server
	closed  bool
	conns   []net.Conn
	clients []net.Conn // those of them that are clients'
	traffic Traffic
}

// Traffic is what was said to a server, and what it said.
type Traffic struct {
	Commands []string // their names, in lower case

	// RoundTrips is how often the server answered after it was sent something.
	// What it says unasked is none.
	RoundTrips int

	Received, Sent int // bytes, by the server
}

// Sub is what was seen since an earlier time.
func (s Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{
		Commands:   s.Commands[len(earlier.Commands):],
		RoundTrips: s.RoundTrips - earlier.RoundTrips,
		Received:   s.Received - earlier.Received,
		Sent:       s.Sent - earlier.Sent,
	}
}

// StartProxy starts a Proxy to a server. It ends with the test.
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

// Addr is the Proxy's host:port.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Traffic is what was seen so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.traffic
	seen.Commands = slices.Clone(seen.Commands)
	return seen
}

// SwitchTo makes connections from now on go to another server, as a failover behind one
// address does. Those that are open stay.
func (p *Proxy) SwitchTo(s *Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = s
}

func (p *Proxy) addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.Addr()
}

// SendToClients says something to all clients, as if the server had.
func (p *Proxy) SendToClients(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		_, _ = c.Write([]byte(text)) // some have left
	}
}

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

// track notes connections that end with the Proxy. It reports whether that still
// runs.
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
		asked := false // under p.mu
		var pending []byte
		p.running.Go(func() {
			p.copy(client, server, func(said []byte) {
				asked = true
				var names []string
				names, pending = commandsIn(append(pending, said...))
				p.traffic.Commands = append(p.traffic.Commands, names...)
				p.traffic.Received += len(said)
			})
		})
		p.running.Go(func() {
			p.copy(server, client, func(said []byte) {
				if asked {
					p.traffic.RoundTrips++
				}
				asked = false
				p.traffic.Sent += len(said)
			})
		})
	}
}

// copy passes on what one side says, once it was noted.
func (p *Proxy) copy(from, to net.Conn, note func([]byte)) {
	defer func() { _, _ = from.Close(), to.Close() }()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		note(b[:n])
		p.mu.Unlock()
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// commandsIn returns the names of the commands in what a client has said, and
// what is left of one that is not complete.
func commandsIn(said []byte) (names []string, rest []byte) {
	for {
		args, rest, ok := cutCommand(said)
		if !ok {
			return names, said
		}
		names, said = append(names, strings.ToLower(string(args[0]))), rest
	}
}

// cutCommand reads one command, as clients write them: a list of texts, each
// with its length before it.
func cutCommand(said []byte) (args [][]byte, rest []byte, ok bool) {
	n, rest, ok := cutNumber(said)
	for range n {
		var length int
		if length, rest, ok = cutNumber(rest); !ok || len(rest) < length+2 {
			return nil, nil, false
		}
		args, rest = append(args, rest[:length]), rest[length+2:]
	}
	return args, rest, ok && len(args) > 0
}

// cutNumber reads a line of one sign and a number.
func cutNumber(said []byte) (n int, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(said, []byte("\r\n"))
	if !ok || len(line) < 2 {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	return n, rest, err == nil
}
