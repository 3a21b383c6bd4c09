package redisserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// commandTimeout is the timeout of a command, including the connection.
const commandTimeout = 10 * time.Second

// ReplyError is an error reply of the server.
type ReplyError struct {
	Text string // with its code, such as NOAUTH
}

// Error implements error.
func (e *ReplyError) Error() string { return e.Text }

// Do sends a command on a new connection and returns the reply: a string, an int64,
// nil, or a []any of these. An error reply is a *ReplyError. The timeout is 10 s.
func (s *Server) Do(ctx context.Context, args ...string) (any, error) { return s.send(ctx, args) }

// Auth is Do after AUTH with the password of the default user.
func (s *Server) Auth(ctx context.Context, password string, args ...string) (any, error) {
	return s.send(ctx, []string{"AUTH", password}, args)
}

// send sends commands on one connection and returns the last reply.
func (s *Server) send(ctx context.Context, commands ...[]string) (reply any, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r := bufio.NewReader(conn)
	for _, args := range commands {
		if _, err := io.WriteString(conn, encode(args)); err != nil {
			return nil, err
		}
		if reply, err = read(r); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

// encode returns a command in RESP format.
func encode(args []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// read reads a reply in RESP format. An error reply is a *ReplyError.
func read(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, io.ErrUnexpectedEOF
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return nil, &ReplyError{line[1:]}
	case ':':
		return int64(n), nil
	case '$':
		if n < 0 {
			return nil, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case '*':
		list := make([]any, max(0, n))
		for i := range list {
			if list[i], err = read(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("malformed reply: %q", line)
}
