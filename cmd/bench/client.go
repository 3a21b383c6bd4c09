package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
		clients = append(clients, &client{conn, bufio.NewReader(conn)})
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

// ask sends a request, whose answer has to be a success.
func (c *client) ask(request []byte) error {
	_, _, err := c.answer(request, io.Discard)
	return err
}

// answer is ask for who needs the answer.
func (c *client) answer(request []byte, to io.Writer) (http.Header, int64, error) {
	res, err := c.send(request)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, 0, fmt.Errorf("answered %s: %s", res.Status, text)
	}
	n, err := io.Copy(to, res.Body)
	if err == nil && res.Close {
		err = errors.New("the connection was not kept open")
	}
	return res.Header, n, err
}

// userHeader says who is asking.
const userHeader = "X-Bench-User"

func userName(i int) string { return fmt.Sprintf("patient.number.%d@clinic.example", i) }

// asks are the requests of all users.
func asks(host string, users int) (requests [][]byte) {
	for i := range users {
		var b bytes.Buffer
		fmt.Fprintf(&b, "GET /private/huma-token?client_type=ios HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s: %s\r\n\r\n", host, userHeader, userName(i))
		requests = append(requests, b.Bytes())
	}
	return requests
}
