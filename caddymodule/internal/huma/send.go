package huma

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
)

const (
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10

	contentType = "application/json"
	userAgent   = "caddy-huma"
)

// endpoint returns the address of a call below the base address.
func endpoint(api *url.URL, path string) url.URL {
	if api == nil {
		api = new(url.URL)
	}
	escaped := strings.TrimRight(api.EscapedPath(), "/") + path
	plain, _ := url.PathUnescape(escaped) // EscapedPath returns a valid one
	return url.URL{Scheme: api.Scheme, Host: api.Host, Path: plain, RawPath: escaped}
}

// post makes one attempt at a call and returns its answer if that is a success.
func (c *Client) post(ctx context.Context, op exchange.Op, body []byte) (answer, error) {
	// The attempt may have reached the service as soon as it has a connection.
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	now := time.Now()
	resp, err := c.cfg.HTTP.RoundTrip(c.request(traced, op, body, now))
	if err != nil {
		return answer{}, transportError(ctx, op, sent.Load(), err)
	}
	defer resp.Body.Close()

	got, err := readBody(resp)
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return answer{}, &exchange.StatusError{
			Op:         op,
			Status:     resp.StatusCode,
			Code:       readCode(got),
			RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		}
	case op == exchange.OpConsent: // the status says it all
		return answer{}, nil
	case err != nil:
		return answer{}, transportError(ctx, op, true, err)
	case len(got) > maxAnswer:
		return answer{}, &exchange.AnswerError{Op: op, Why: "longer than 64 KiB"}
	}
	return answer{body: got, sent: now}, nil
}

// request builds one attempt, signed at now.
func (c *Client) request(ctx context.Context, op exchange.Op, body []byte, now time.Time) *http.Request {
	u := c.urls[op]
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req := &http.Request{
		Method:        http.MethodPost,
		URL:           &u,
		Host:          u.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.header(&u, body, now),
		ContentLength: int64(len(body)),
	}
	req.Body, _ = open()
	// With GetBody a transport may send a request again of its own accord, if
	// it believes that the service has not looked at it. It may be wrong, so
	// it gets none where a second one could make a second account.
	if op != exchange.OpSignUp {
		req.GetBody = open
	}
	return req.WithContext(ctx)
}

// header returns the headers of one attempt. Names stand in the map as Huma
// spells them: Set would turn deploymentId into Deploymentid.
// There is no Idempotency-Key: Go's transport would repeat a POST that has one.
func (c *Client) header(u *url.URL, body []byte, now time.Time) http.Header {
	h := http.Header{
		"Accept": {contentType},
		// Without it the transport would ask for gzip and expand the answer.
		"Accept-Encoding": {"identity"},
		"Content-Type":    {contentType},
		"User-Agent":      {userAgent},
	}
	if c.cfg.DeploymentID != "" {
		h["deploymentId"] = []string{c.cfg.DeploymentID}
	}
	if c.cfg.Signer != nil {
		replaceHeaders(h, c.cfg.Signer.Sign(Request{
			Method:       http.MethodPost,
			URL:          u,
			ContentType:  contentType,
			Body:         body,
			DeploymentID: c.cfg.DeploymentID,
			Time:         now,
		}), now)
	}
	replaceHeaders(h, c.cfg.HeaderUp, now)
	return h
}

// readBody reads what there is of an answer, at most one byte more than
// maxAnswer. A body that is read to its end lets its connection be used again.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode < 200 {
		return nil, nil // 101: that is the bare connection, which knows no context
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
}

// retryAfter reads a Retry-After header: seconds or a date. It is 0 for what
// is neither or lies in the past; how long is too long is the caller's matter.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > math.MaxInt64/int64(time.Second) {
			return math.MaxInt64
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// transportError says what became of a call without a whole answer.
func transportError(ctx context.Context, op exchange.Op, sent bool, err error) *exchange.TransportError {
	e := &exchange.TransportError{Op: op, Sent: sent}
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.Canceled):
		e.Err = context.Canceled
	case cause != nil:
		e.Err, e.Timeout = context.DeadlineExceeded, true
	default:
		var timeout net.Error
		e.Timeout = errors.As(err, &timeout) && timeout.Timeout()
		e.Err = neterror.Plain("the service", sent, err)
	}
	return e
}
