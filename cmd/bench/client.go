package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answerTime is how long an answer is waited for.
const answerTime = 30 * time.Second

// client is a connection that is kept open. It costs less than Go's own client, of
// which there is one per connection: what the client takes of the processor, Caddy
// does not get.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte // for requests
}

// dial opens connections. They are closed with ctx, too.
func dial(ctx context.Context, address string, n int) (clients []*client, err error) {
	var d net.Dialer
	for range n {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			hangUp(clients)
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		clients = append(clients, &client{conn: conn, r: bufio.NewReader(conn)})
	}
	return clients, nil
}

func hangUp(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// send sends a request and returns its answer, whose body has to be read.
func (c *client) send(request []byte) (*http.Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.r, nil)
}

// ask sends a request, whose answer has to have a status.
func (c *client) ask(status int, request []byte) error {
	_, _, err := c.answer(status, request, io.Discard)
	return err
}

// answer is ask for who needs the answer.
func (c *client) answer(status int, request []byte, to io.Writer) (http.Header, int64, error) {
	res, err := c.send(request)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != status {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, 0, fmt.Errorf("answered %s: %s", res.Status, text)
	}
	n, err := io.Copy(to, res.Body)
	if err == nil && res.Close {
		err = errors.New("the connection was not kept open")
	}
	return res.Header, n, err
}

// token asks for a user's token, and returns the length of the answer.
func (c *client) token(host string, user int) (int64, error) {
	_, n, err := c.answer(http.StatusOK, c.request(host, user), io.Discard)
	return n, err
}

// userHeader says who is asking.
const userHeader = "X-Bench-User"

const userStart, userEnd = "patient.number.", "@clinic.example"

func userName(i int) string { return string(appendUser(nil, i)) }

func appendUser(b []byte, i int) []byte {
	return append(strconv.AppendInt(append(b, userStart...), int64(i), 10), userEnd...)
}

// request is a user's request for a token. It is made anew each time: a million of
// them would be waited for like anything else that is not in the processor's cache.
// It is good until the next one is made.
func (c *client) request(host string, user int) []byte {
	c.buf = append(c.buf[:0], "GET /private/huma-token?client_type=ios HTTP/1.1\r\nHost: "...)
	c.buf = append(append(c.buf, host...), "\r\nUser-Agent: bench\r\nAccept: */*\r\n"+userHeader+": "...)
	c.buf = append(appendUser(c.buf, user), "\r\n\r\n"...)
	return c.buf
}

// anyOf asks for the token of a user chosen at random.
func anyOf(users int, host string) func(*client) error {
	return func(c *client) error {
		_, err := c.token(host, rand.IntN(users))
		return err
	}
}
