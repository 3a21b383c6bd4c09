package redistest

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Proxy is a way to a server on which everything is seen that is said to it.
type Proxy struct {
	server *Server
	l      net.Listener
	ends   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    []net.Conn
	commands []string
	trips    int
}

// Watch starts a Proxy to a server. It ends with the test.
func Watch(t testing.TB, s *Server) *Proxy {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: s, l: l}
	p.ends.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is the Proxy's host:port.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Seen are the names of all commands so far, in lower case, and how many round
// trips they took: how often one was answered after others were sent. What a
// server says unasked is none.
func (p *Proxy) Seen() (commands []string, trips int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(commands, p.commands...), p.trips
}

func (p *Proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.closed = true
	p.mu.Unlock()
	p.ends.Wait()
}

// keep notes connections that end with the Proxy. It reports whether that still
// runs.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns = append(p.conns, conns...)
		return true
	}
	for _, c := range conns {
		_ = c.Close()
	}
	return false
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		var d net.Dialer
		server, err := d.DialContext(context.Background(), "tcp", p.server.Addr())
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		asked := false // under p.mu
		var pending []byte
		p.ends.Go(func() {
			p.pass(client, server, func(said []byte) {
				asked = true
				var names []string
				names, pending = commandsIn(append(pending, said...))
				p.commands = append(p.commands, names...)
			})
		})
		p.ends.Go(func() {
			p.pass(server, client, func([]byte) {
				if asked {
					p.trips++
				}
				asked = false
			})
		})
	}
}

// pass passes on what one side says, once it was noted.
func (p *Proxy) pass(from, to net.Conn, note func([]byte)) {
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
