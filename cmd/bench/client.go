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

// client is one connection that is kept open. It takes less processor time than Go's
// HTTP client, and what a client takes is missing in the Caddy that is measured.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	body bytes.Buffer
	buf  []byte // for the next request
}

// dial opens n connections, which are closed with ctx, too.
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

func closeAll(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// send sends a request and reads the response into c.body. Any status other than 200
// is an error.
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
		err = fmt.Errorf("the response is %s: %s", res.Status, c.body.Bytes())
	case res.Close:
		err = errors.New("the connection was not kept open")
	}
	return res.Header, err
}

// userHeader identifies the user of a request.
const userHeader = "X-Bench-User"

func userName(i int) string { return string(appendUser(nil, i)) }

func appendUser(b []byte, i int) []byte {
	return append(strconv.AppendInt(append(b, "patient.number."...), int64(i), 10), "@clinic.example"...)
}

// request makes a user's request for a token, which is valid until the next one is
// made: a million of them in memory would cost the client more than making them.
func (c *client) request(host string, user int) []byte {
	c.buf = append(append(c.buf[:0], "GET /private/huma-token?client_type=ios HTTP/1.1\r\nHost: "...), host...)
	c.buf = append(c.buf, "\r\nUser-Agent: bench\r\nAccept: */*\r\n"+userHeader+": "...)
	c.buf = append(appendUser(c.buf, user), "\r\n\r\n"...)
	return c.buf
}

// token requests a user's token.
func (c *client) token(host string, user int) error {
	_, err := c.send(c.request(host, user))
	return err
}

// randomUser returns a function that requests the token of a random user.
func randomUser(users int, host string) func(*client) error {
	return func(c *client) error { return c.token(host, rand.IntN(users)) }
}
