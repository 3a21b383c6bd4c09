// Package userinfo asks an application who a request comes from: one GET with
// the credentials of the request, such as to the application's own /me. It
// tells what the answer says; whether that names a user is decided elsewhere.
package userinfo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

const (
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 256 << 10

	contentType = "application/json"
	userAgent   = "caddy-huma"
)

// Client asks one application. It may be used by any number of requests at
// once.
type Client struct {
	url     *url.URL
	forward []string // canonical names, without Host
	host    bool     // whether the caller's host is sent
	timeout time.Duration
	onError func(error)

	maxWaiting int64 // 0: any number
	waiting    *atomic.Int64

	// It is used without an http.Client, so that no redirect is followed and
	// no cookie is kept.
	http http.RoundTripper
}

// Forwards returns the canonical names of the request headers that Ask passes
// on. The caller must not change it.
func (c *Client) Forwards() []string { return c.forward }

// Ask implements identity.Asker.
func (c *Client) Ask(ctx context.Context, host string, header http.Header) (claims.Document, error) {
	if !c.hasSession(host, header) {
		return claims.Document{}, identity.ErrNoSession
	}
	defer c.waiting.Add(-1)
	if n := c.waiting.Add(1); c.maxWaiting > 0 && n > c.maxWaiting {
		return claims.Document{}, identity.ErrUserinfoBusy
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.get(limited, c.request(host, header))
	if a.notSignedIn() {
		return claims.Document{}, identity.ErrNotSignedIn
	}
	var d claims.Document
	if err == nil {
		d, err = a.read()
	}
	if err != nil {
		// Somebody who left says nothing about the application.
		if !errors.Is(ctx.Err(), context.Canceled) {
			c.onError(err)
		}
		return claims.Document{}, identity.ErrUserinfoUnavailable
	}
	return d, nil
}

// hasSession reports whether a request has something to ask with. What cannot
// be sent is nothing to ask with: a server has refused most of it, and it is
// nothing that the application could be blamed for.
func (c *Client) hasSession(host string, header http.Header) bool {
	if c.host && !isValidHost(host) {
		return false
	}
	found := false
	for _, name := range c.forward {
		for _, value := range header[name] {
			if !isValidHeaderValue(value) {
				return false
			}
			found = found || value != ""
		}
	}
	return found
}

// get asks once. An answer with a status comes with what could be read of its
// body, also beside an error.
//
// Asking once is what this package does; a transport does it again of its own
// accord on a connection that the application closed while it was idle.
func (c *Client) get(ctx context.Context, req *http.Request) (response, error) {
	ctx, span := tracing.StartCall(ctx, "userinfo")
	defer span.End()
	resp, err := c.http.RoundTrip(req.WithContext(ctx))
	if err != nil {
		span.Fail("no answer")
		return response{}, plain(ctx, err)
	}
	defer resp.Body.Close()
	span.Status(resp.StatusCode)
	a := response{status: resp.StatusCode, encoding: resp.Header.Get("Content-Encoding")}
	if a.status < 200 {
		return a, nil // 101: that is the bare connection, which knows no context
	}
	// A body that is read to its end lets its connection be used again.
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return a, plain(ctx, err)
	}
	return a, nil
}

// request builds the question: the headers to forward, and nothing else of the
// caller's.
func (c *Client) request(host string, header http.Header) *http.Request {
	u := *c.url
	req := &http.Request{
		Method:     http.MethodGet,
		URL:        &u,
		Host:       u.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header: http.Header{
			"Accept":     {contentType},
			"User-Agent": {userAgent},
		},
	}
	for _, name := range c.forward {
		if values := header[name]; len(values) > 0 {
			req.Header[name] = slices.Clone(values)
		}
	}
	if c.host && host != "" {
		req.Host = host
	}
	req.Close = authenticatesConnection(header["Authorization"])
	return req
}

// authenticatesConnection reports whether the credentials are of a scheme that
// signs in a connection and whatever comes on it (RFC 4559, section 6). Nobody
// else may use that connection afterwards.
func authenticatesConnection(credentials []string) bool {
	return slices.ContainsFunc(credentials, func(c string) bool {
		scheme, _, _ := strings.Cut(c, " ")
		return strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")
	})
}

// isValidHeaderValue reports whether value can stand in one line of a header.
func isValidHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && r < ' ' || r == 0x7f })
}

// isValidHost reports whether host can be sent as it is: the transport would
// send another one, or none, in place of some that cannot.
func isValidHost(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"#%/<>?@\\^`{|}", r)
	})
}

// errNoAnswer is about an application that took too long.
var errNoAnswer = errors.New("no answer in time")

// plain returns what is safe to print of an error.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errNoAnswer
	}
	return neterror.Plain("the application", true, err)
}

// Interface guard
var _ identity.Asker = (*Client)(nil)
