// Package subrequest sends the calls that identify the user of a request: to the
// authentication server (the option auth_server) and to the application (the option
// userinfo). Such a call has the credentials of the client's request.
package subrequest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// maxHeader is the maximum size of a response header in bytes.
const maxHeader = 64 << 10

// DefaultTimeout is the timeout of a call if the config has none.
const DefaultTimeout = 5 * time.Second

// ErrTimeout means that the server did not respond before the timeout.
var ErrTimeout = errors.New("timed out waiting for the response")

// Client calls one server. It is safe for concurrent use. Create it with New.
type Client struct {
	peer    string
	span    string
	timeout time.Duration

	maxWaiting int64 // 0: no limit
	waiting    *atomic.Int64

	// transport is used without an http.Client, so that redirects are not followed and
	// cookies are not stored.
	transport http.RoundTripper
}

// Config configures a Client. Do not change it after New.
type Config struct {
	// Peer names the server in errors, for example "the auth server".
	Peer string
	// Span is the name of the span of a call.
	Span string
	// Timeout is the timeout of the whole call. Must be positive.
	Timeout time.Duration
	// MaxWaiting limits the number of concurrent calls. 0: no limit.
	MaxWaiting int
	// Transport sends the calls. nil: a transport that all Clients share, so that
	// connections outlive a config reload.
	Transport http.RoundTripper
}

// New returns a Client.
func New(c Config) *Client {
	client := &Client{peer: c.Peer, span: c.Span, timeout: c.Timeout, maxWaiting: int64(c.MaxWaiting), waiting: new(atomic.Int64), transport: shared}
	if c.Transport != nil {
		client.transport = c.Transport
	}
	return client
}

// errStatus is the error of a response whose status is not a status of HTTP (RFC 9110,
// section 15), such as 000, which net/http returns as any other.
var errStatus = errors.New("the response has no valid status")

// Response is the response to a call.
type Response struct {
	Status int // 0: there was no response
	Header http.Header
	Body   []byte
}

// ErrBusy means that MaxWaiting calls are running.
var ErrBusy = errors.New("too many concurrent calls")

// Do sends a request without a body. Redirects are not followed. If the response has a
// status, Do returns it even if there is an error, with the part of the body that could
// be read. maxBody is the maximum number of bytes of the body that are read.
//
// Do does not retry. The transport does, on a connection that the server closed while
// it was idle. The error is safe to log: it contains nothing of the request, and only
// host and port of the URL. It is ErrBusy if the request was not sent because of
// MaxWaiting.
func (c *Client) Do(ctx context.Context, req *http.Request, maxBody int64) (Response, error) {
	defer c.waiting.Add(-1)
	if n := c.waiting.Add(1); c.maxWaiting > 0 && n > c.maxWaiting {
		return Response{}, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, span := tracing.StartCall(ctx, c.span)
	defer span.End()
	resp, err := c.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		span.Fail("no response")
		return Response{}, c.plain(ctx, err)
	}
	defer resp.Body.Close()
	span.Status(resp.StatusCode)
	if resp.StatusCode < 100 {
		return Response{}, errStatus
	}
	r := Response{Status: resp.StatusCode, Header: resp.Header}
	if r.Status < 200 {
		return r, nil // 101: the body is the raw connection, which ignores ctx
	}
	// A body that is read to its end allows the connection to be reused.
	if r.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody)); err != nil {
		return r, c.plain(ctx, err)
	}
	return r, nil
}

// plain converts an error of a call to one that is safe to log.
func (c *Client) plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrTimeout
	}
	return neterror.Plain(c.peer, true, err)
}

// CloseIdleConnections closes the idle connections of the shared transport. Tests that
// look for leaked goroutines call it.
func CloseIdleConnections() { shared.CloseIdleConnections() }

// shared is the transport of all Clients that trust the certificate authorities of the
// system.
var shared = NewTransport()

// NewTransport returns a transport with the limits of this package.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a small response cannot expand to a large one
		MaxConnsPerHost:        256,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		// Pings detect a broken connection before a user's request does.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
	}
}
