package rediscache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// Limits of one reply. The client allocates the length that a reply announces before
// the data has arrived, and reads nested arrays by recursion.
const (
	maxText     = 1 << 20  // bytes of one bulk string
	maxLine     = 4 << 10  // bytes of one line: a status, an error, an integer or a length
	maxElements = 32 << 10 // elements of all arrays together
	maxDepth    = 8        // arrays in arrays; CLUSTER SLOTS and HELLO have 4
	maxReply    = 4 << 20  // bytes
)

var (
	errTooLarge = errors.New("reply too large: is this a Redis server?")
	errNotRESP  = errors.New("reply is not RESP2: is this a Redis server?")
)

// limitedConn is a connection that closes when the server announces or sends more than
// a reply to one of our commands can have, or something other than RESP2:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
//
// It rejects the types of RESP3, because the client does not request that version. The
// client reads attributes and maps by recursion, too.
type limitedConn struct {
	net.Conn
	line     []byte // the beginning of the current line
	text     int    // bytes remaining of a bulk string, including its CRLF
	arrays   []int  // elements remaining of each open array, outermost first
	elements int    // elements announced in this reply
	size     int    // bytes received or announced in this reply
	err      error
	stop     func() bool
}

// limitReplies returns a limitedConn. It also closes when ctx ends, so that no
// operation waits any longer for a server that hangs.
func limitReplies(ctx context.Context, c net.Conn) net.Conn {
	g := &limitedConn{Conn: c, line: make([]byte, 0, 64), arrays: make([]int, 0, maxDepth)}
	g.stop = context.AfterFunc(ctx, func() { _ = g.Conn.Close() })
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	if s, ok := c.(syscall.Conn); ok {
		return &limitedSocket{g, s}
	}
	return g
}

// limitedSocket also gives the client access to the socket. Before the client reuses a
// connection, it checks whether the connection was closed or has received data that was
// not requested. With TLS that is any record.
type limitedSocket struct {
	*limitedConn
	socket syscall.Conn
}

// SyscallConn implements syscall.Conn.
func (s *limitedSocket) SyscallConn() (syscall.RawConn, error) { return s.socket.SyscallConn() }

// Read implements net.Conn.
func (g *limitedConn) Read(b []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(b)
	if g.err = g.check(b[:n]); g.err != nil {
		_ = g.Close()
		return 0, g.err
	}
	return n, err
}

// Close implements net.Conn.
func (g *limitedConn) Close() error {
	g.stop()
	return g.Conn.Close()
}

// check parses the next bytes of the protocol and applies the limits.
func (g *limitedConn) check(b []byte) error {
	for len(b) > 0 {
		if n := min(g.text, len(b)); n > 0 {
			b = b[n:]
			if g.text -= n; g.text == 0 {
				g.ended()
			}
			continue
		}
		line, rest, isLine := bytes.Cut(b, []byte("\n"))
		if len(g.line)+len(line) > maxLine {
			return errTooLarge
		}
		g.line = append(g.line, line...)
		if b = rest; isLine {
			if err := g.checkLine(); err != nil {
				return err
			}
			g.line = g.line[:0]
		}
	}
	return nil
}

// checkLine checks a complete line: a type, and a value or a length.
func (g *limitedConn) checkLine() error {
	line, ok := bytes.CutSuffix(g.line, []byte("\r"))
	if !ok || len(line) == 0 {
		return errNotRESP
	}
	g.size += len(g.line) + len("\n")
	switch line[0] {
	case '+', '-', ':':
		g.ended()
	case '$', '*':
		n, err := strconv.Atoi(string(line[1:]))
		switch {
		case errors.Is(err, strconv.ErrRange):
			return errTooLarge
		case err != nil || n < -1:
			return errNotRESP
		case n < 0, n == 0 && line[0] == '*':
			g.ended()
		default:
			return g.announced(line[0], n)
		}
	default:
		return errNotRESP
	}
	return g.checkSize()
}

// announced records the length of a bulk string, or of an array that has elements.
func (g *limitedConn) announced(typ byte, n int) error {
	if typ == '*' {
		if n > maxElements-g.elements || len(g.arrays) == maxDepth {
			return errTooLarge
		}
		g.elements += n
		g.arrays = append(g.arrays, n)
		return g.checkSize()
	}
	if n > maxText {
		return errTooLarge
	}
	g.text = n + len("\r\n")
	g.size += g.text
	return g.checkSize()
}

func (g *limitedConn) checkSize() error {
	if g.size > maxReply {
		return errTooLarge
	}
	return nil
}

// ended records the end of an element, and of each array of which it is the last
// element.
func (g *limitedConn) ended() {
	for len(g.arrays) > 0 {
		last := len(g.arrays) - 1
		if g.arrays[last]--; g.arrays[last] > 0 {
			return
		}
		g.arrays = g.arrays[:last]
	}
	g.elements, g.size = 0, 0 // the next element belongs to another reply
}
