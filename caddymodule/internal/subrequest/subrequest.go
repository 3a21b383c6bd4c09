// Package subrequest sends the calls that identify the user of a request: to the
// authentication server (the option auth_server) and to the application (the option
// userinfo), with the credentials of the client's request, and to key servers.
package subrequest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
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
	peer    Peer
	url     *url.URL
	forward []string // canonical names
	timeout time.Duration
	onError func(error)

	maxWaiting int64 // 0: no limit
	waiting    atomic.Int64

	// transport is used without an http.Client, so that redirects are not followed and
	// cookies are not stored.
	transport http.RoundTripper
}

// Peer describes the called server.
type Peer struct {
	// Name names the server in errors, for example "the auth server".
	Name string
	// Option is the name of the option with the URL, and of the span of a call.
	Option string
	// Example is a URL, for an error message.
	Example string
}

// Config configures a Client.
type Config struct {
	// URL is the URL to call, with its query: http or https. Any host is allowed,
	// because it is the operator's own server.
	URL string
	// DefaultPath, if not empty, is the path of a URL that has none, or only a slash.
	DefaultPath string
	// ForwardHeaders are the names of the request headers to forward.
	ForwardHeaders []string
	// Timeout is the timeout of the whole call. Must be positive.
	Timeout time.Duration
	// MaxWaiting limits the number of concurrent calls. Get returns ErrBusy for more. 0:
	// no limit.
	MaxWaiting int
	// Transport sends the calls. nil: a transport that all Clients share, so that
	// connections outlive a config reload, and that trusts the certificate authorities of
	// the system.
	Transport http.RoundTripper
	// OnError is called with the error of a failed call, for the log. The error
	// contains nothing of the request, only the status of the response, and only host
	// and port of the URL. nil: errors are ignored.
	OnError func(error)
}

// New returns a Client of peer. The error joins all problems, each with the name of the
// option.
func New(peer Peer, cfg Config) (*Client, error) {
	c := &Client{peer: peer, timeout: cfg.Timeout, onError: cfg.OnError, maxWaiting: int64(cfg.MaxWaiting), transport: cfg.Transport}
	if c.transport == nil {
		c.transport = shared
	}
	if c.onError == nil {
		c.onError = func(error) {}
	}
	var errs []error
	u, err := parseURL(cfg.URL)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("%s: %w; write a URL such as %s", peer.Option, err, peer.Example))
	case cfg.DefaultPath != "" && (u.Path == "" || u.Path == "/"):
		u.Path = cfg.DefaultPath
	}
	c.url = u
	c.forward, err = forwardHeaders(cfg.ForwardHeaders)
	errs = append(errs, err)
	if cfg.Timeout <= 0 {
		errs = append(errs, errors.New("timeout: must be positive"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// Forwards returns the canonical names of the request headers that Get forwards. The
// caller must not change the slice.
func (c *Client) Forwards() []string { return c.forward }

// errStatus is the error of a response whose status is not a status of HTTP (RFC 9110,
// section 15), such as 000, which net/http returns as any other.
var errStatus = errors.New("the response has no valid status")

// Response is the response to a call.
type Response struct {
	Status int // 0: there was no response
	Header http.Header
	Body   []byte
}

// ErrBusy means that Config.MaxWaiting calls are running.
var ErrBusy = errors.New("too many concurrent calls")

// Get sends a GET with the headers to forward of request, those in own, and nothing else
// of the client's request. If host is empty, it is that of the URL. Redirects are not
// followed. If the response has a status, Get returns it even if there is an error, with
// the part of the body that could be read. maxBody is the maximum number of bytes of the
// body that are read.
//
// Get does not retry. The transport does, on a connection that the server closed while
// it was idle. The error is safe to log: it contains nothing of the request, and only
// host and port of the URL. It is ErrBusy if the request was not sent because of
// MaxWaiting.
func (c *Client) Get(ctx context.Context, host string, request, own http.Header, maxBody int64) (Response, error) {
	u := *c.url
	req := &http.Request{
		Method: http.MethodGet, URL: &u, Host: cmp.Or(host, u.Host),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"caddy-huma"}},
		Close:  authenticatesConnection(request["Authorization"]),
	}
	for _, name := range c.forward {
		if values := request[name]; len(values) > 0 {
			req.Header[name] = values
		}
	}
	maps.Copy(req.Header, own)
	return c.do(ctx, req, maxBody)
}

// Report passes the error of a call to Config.OnError, unless the client canceled the
// request: then the error is not about the server.
func (c *Client) Report(ctx context.Context, err error) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		c.onError(err)
	}
}

func (c *Client) do(ctx context.Context, req *http.Request, maxBody int64) (Response, error) {
	defer c.waiting.Add(-1)
	if n := c.waiting.Add(1); c.maxWaiting > 0 && n > c.maxWaiting {
		return Response{}, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, span := tracing.StartCall(ctx, c.peer.Option)
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
	return neterror.Plain(c.peer.Name, true, err)
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
