package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// requestTimeout is the timeout of a request.
const requestTimeout = 30 * time.Second

// client is an HTTP client with one persistent connection. It uses less processor time
// than Go's client, which leaves more for the measured process.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	body bytes.Buffer
	buf  []byte // for the next request
}

// dial opens n connections, which are also closed when ctx is canceled.
func dial(ctx context.Context, address string, n int) (clients []*client, err error) {
	var d net.Dialer
	for range n {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			closeAll(clients)
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		clients = append(clients, &client{conn: conn, r: bufio.NewReader(conn)})
	}
	return clients, nil
}

// closeAll closes the connections.
func closeAll(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// send sends a request, reads the body of the response into c.body and returns the
// headers. A status other than 200 is an error.
func (c *client) send(request []byte) (http.Header, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	c.body.Reset()
	_, err = c.body.ReadFrom(res.Body)
	switch {
	case err != nil:
	case res.StatusCode != http.StatusOK:
		err = fmt.Errorf("unexpected status %s: %s", res.Status, c.body.Bytes())
	case res.Close:
		err = errors.New("the server closes the connection")
	}
	return res.Header, err
}

// userHeader is the request header with the user's email address.
const userHeader = "X-Bench-User"

// userName returns the email address of a user.
func userName(i int) string { return string(appendUser(nil, i)) }

// appendUser appends the email address of a user to b.
func appendUser(b []byte, i int) []byte {
	return append(strconv.AppendInt(append(b, "patient.number."...), int64(i), 10), "@clinic.example"...)
}

// request returns a user's request for a token. It is valid until the next call: caching
// the requests of a million users would be slower.
func (c *client) request(host string, user int) []byte {
	c.buf = append(append(c.buf[:0], "GET /private/huma-token?client_type=ios HTTP/1.1\r\nHost: "...), host...)
	c.buf = append(c.buf, "\r\nUser-Agent: bench\r\nAccept: */*\r\n"+userHeader+": "...)
	c.buf = append(appendUser(c.buf, user), "\r\n\r\n"...)
	return c.buf
}

// token requests the token of a user.
func (c *client) token(host string, user int) error {
	_, err := c.send(c.request(host, user))
	return err
}

// randomUser returns a function that requests the token of a random user.
func randomUser(users int, host string) func(*client) error {
	return func(c *client) error { return c.token(host, rand.IntN(users)) }
}
