// Package wire is the HTTP layer that the clients of Huma and Human API share: it sends
// one POST with JSON and parses the response tolerantly. The paths, members and error
// codes of each service are in its client package.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

const (
	// ContentType is the media type of every request body.
	ContentType = "application/json"

	// maxBody is the maximum length of a response body in bytes.
	maxBody = 64 << 10

	userAgent = "caddy-huma"
)

// Call is one attempt at a call of a service.
type Call struct {
	Op     exchange.Op
	URL    url.URL     // see Endpoint
	Header http.Header // see Header
	Body   []byte

	// Once says that sending the request twice does harm. The transport must not retry
	// it.
	Once bool

	// StatusOnly says that the body of a successful response is ignored.
	StatusOnly bool

	// ReadError reads an error response into e: the service's error code and its request
	// id. It must not copy other text of the body. nil: the body is ignored.
	ReadError func(e *exchange.StatusError, header http.Header, body []byte)
}

// Header returns the headers of every call. There is no Idempotency-Key, because Go's
// transport would retry a POST that has one.
func Header() http.Header {
	return http.Header{
		"Accept": {ContentType},
		// Without it, the transport would request gzip and decompress the response.
		"Accept-Encoding": {"identity"},
		"Content-Type":    {ContentType},
		"User-Agent":      {userAgent},
	}
}

// Post makes one attempt and returns the body of a successful response. Its error is a
// *exchange.StatusError, *exchange.TransportError or *exchange.ResponseError.
//
// transport must be an *http.Transport or wrap one, because
// exchange.TransportError.Sent is determined with net/http/httptrace. It is used
// without an http.Client, so that redirects are not followed and cookies are not
// stored.
func Post(ctx context.Context, transport http.RoundTripper, c Call) ([]byte, error) {
	// Once its headers are written, the service may have the request.
	var headersWritten, http2 atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { http2.Store(speaksHTTP2(info.Conn)) },
		WroteHeaders: func() { headersWritten.Store(true) },
	})
	resp, err := transport.RoundTrip(c.request(traced))
	if err != nil {
		sent := headersWritten.Load() && (http2.Load() || !isWriteError(err))
		return nil, transportError(ctx, c.Op, sent, err)
	}
	defer resp.Body.Close()

	body, err := readBody(resp)
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, c.statusError(resp, body)
	case c.StatusOnly:
		return nil, nil
	case err != nil:
		return nil, transportError(ctx, c.Op, true, err)
	case len(body) > maxBody:
		return nil, &exchange.ResponseError{Op: c.Op, Reason: "longer than 64 KiB"}
	}
	return body, nil
}

func speaksHTTP2(conn net.Conn) bool {
	c, ok := conn.(*tls.Conn)
	return ok && c.ConnectionState().NegotiatedProtocol == "h2"
}

// isWriteError reports whether the request could not be written. Over HTTP/1 it is
// buffered (net/http reports its headers as written then) and sent at once, so the
// service does not have all of it if that write fails.
func isWriteError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "write"
}

func (c *Call) request(ctx context.Context) *http.Request {
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.Body)), nil }
	req := &http.Request{
		Method:        http.MethodPost,
		URL:           &c.URL,
		Host:          c.URL.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.Header,
		ContentLength: int64(len(c.Body)),
	}
	req.Body, _ = open()
	// With GetBody, a transport may retry a request if it assumes that the service did
	// not process it. That assumption may be wrong, so GetBody is not set where a
	// second request could create a second account.
	if !c.Once {
		req.GetBody = open
	}
	return req.WithContext(ctx)
}

func (c *Call) statusError(resp *http.Response, body []byte) *exchange.StatusError {
	e := &exchange.StatusError{
		Op:         c.Op,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if c.ReadError != nil {
		c.ReadError(e, resp.Header, body)
	}
	return e
}

// readBody reads at most maxBody+1 bytes of a response. A body that is read to its
// end allows the connection to be reused.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode < 200 {
		return nil, nil // 101: the body is the raw connection, which ignores the context
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
}
