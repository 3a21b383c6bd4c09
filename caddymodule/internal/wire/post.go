// Package wire is what the services' clients have in common: one attempt at a
// POST with JSON, and the tolerant reading of what comes back. How a service
// spells its calls, and what its answers mean, is its client's to know.
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
	// ContentType is that of every call.
	ContentType = "application/json"

	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10

	userAgent = "caddy-huma"
)

// Call is one attempt at a call of a service.
type Call struct {
	Op     exchange.Op
	URL    url.URL     // see Endpoint
	Header http.Header // see Header
	Body   []byte

	// Once says that a second one does harm, so that nobody may send it again
	// without being asked to.
	Once bool

	// StatusOnly says that a success has no answer to read.
	StatusOnly bool

	// Refused reads what the service says of an error into it: its own code,
	// and its id of the request. Nothing else of the body may get there.
	Refused func(e *exchange.StatusError, header http.Header, body []byte)
}

// Header returns the headers that every call has.
// There is no Idempotency-Key: Go's transport would repeat a POST that has one.
func Header() http.Header {
	return http.Header{
		"Accept": {ContentType},
		// Without it the transport would ask for gzip and expand the answer.
		"Accept-Encoding": {"identity"},
		"Content-Type":    {ContentType},
		"User-Agent":      {userAgent},
	}
}

// Post makes the attempt and returns the body of its answer if that is a
// success. Its error is a *exchange.StatusError, TransportError or AnswerError.
//
// transport has to be an *http.Transport or to end in one (see
// exchange.TransportError.Sent: it is told by net/http/httptrace). It is used
// without an http.Client, so that no redirect is followed and no cookie kept.
func Post(ctx context.Context, transport http.RoundTripper, c Call) ([]byte, error) {
	// The service may have the request once its headers are written.
	var written, http2 atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { http2.Store(speaksHTTP2(info.Conn)) },
		WroteHeaders: func() { written.Store(true) },
	})
	resp, err := transport.RoundTrip(c.request(traced))
	if err != nil {
		sent := written.Load() && (http2.Load() || !isWriteError(err))
		return nil, transportError(ctx, c.Op, sent, err)
	}
	defer resp.Body.Close()

	body, err := readBody(resp)
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, c.refusal(resp, body)
	case c.StatusOnly:
		return nil, nil
	case err != nil:
		return nil, transportError(ctx, c.Op, true, err)
	case len(body) > maxAnswer:
		return nil, &exchange.AnswerError{Op: c.Op, Why: "longer than 64 KiB"}
	}
	return body, nil
}

func speaksHTTP2(conn net.Conn) bool {
	c, ok := conn.(*tls.Conn)
	return ok && c.ConnectionState().NegotiatedProtocol == "h2"
}

// isWriteError reports whether the request could not be written. Over HTTP/1 it
// is buffered first (net/http tells of its headers then) and leaves in one piece,
// so that the service does not have all of it if that fails.
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
	// With GetBody a transport may send a request again of its own accord, if
	// it believes that the service has not looked at it. It may be wrong, so
	// it gets none where a second one could make a second account.
	if !c.Once {
		req.GetBody = open
	}
	return req.WithContext(ctx)
}

func (c *Call) refusal(resp *http.Response, body []byte) *exchange.StatusError {
	e := &exchange.StatusError{
		Op:         c.Op,
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if c.Refused != nil {
		c.Refused(e, resp.Header, body)
	}
	return e
}

// readBody reads what there is of an answer, at most one byte more than
// maxAnswer. A body that is read to its end lets its connection be used again.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode < 200 {
		return nil, nil // 101: that is the bare connection, which knows no context
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
}
