// Package userinfo gets the user of a request from the application: it sends one GET
// with the credentials of the request, for example to the application's own /me. It
// returns the parsed response; package identity decides which user it names.
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
	// maxResponse is the maximum length of a response body in bytes.
	maxResponse = 256 << 10

	contentType = "application/json"
	userAgent   = "caddy-huma"
)

// Client calls one application. It is safe for concurrent use. Create it with New.
type Client struct {
	url     *url.URL
	forward []string // canonical names, without Host
	host    bool     // whether the host of the request is forwarded
	timeout time.Duration
	onError func(error)

	maxWaiting int64 // 0: no limit
	waiting    *atomic.Int64

	// http is used without an http.Client, so that redirects are not followed and
	// cookies are not stored.
	http http.RoundTripper
}

// Forwards returns the canonical names of the request headers that Ask forwards. The
// caller must not change the slice.
func (c *Client) Forwards() []string { return c.forward }

// Fetch implements identity.UserinfoClient. Without credentials in header, it returns
// identity.ErrNoCredentials and does not call the application.
func (c *Client) Fetch(ctx context.Context, host string, header http.Header) (claims.Document, error) {
	if !c.hasCredentials(host, header) {
		return claims.Document{}, identity.ErrNoCredentials
	}
	defer c.waiting.Add(-1)
	if n := c.waiting.Add(1); c.maxWaiting > 0 && n > c.maxWaiting {
		return claims.Document{}, identity.ErrUserinfoBusy
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.get(limited, c.request(host, header))
	if resp.isUnauthenticated() {
		return claims.Document{}, identity.ErrUnauthenticated
	}
	var d claims.Document
	if err == nil {
		d, err = resp.read()
	}
	if err != nil {
		// If the client canceled the request, the error is not about the application.
		if !errors.Is(ctx.Err(), context.Canceled) {
			c.onError(err)
		}
		return claims.Document{}, identity.ErrUserinfoUnavailable
	}
	return d, nil
}

// hasCredentials reports whether a request has a header to forward, and all of them can
// be sent. A request with an invalid value is treated as having none: most servers have
// already rejected it, and the application is not the cause.
func (c *Client) hasCredentials(host string, header http.Header) bool {
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

// get sends one request. If the response has a status, it is returned with the part of
// its body that could be read, even if there is an error.
//
// get itself does not retry. The transport does, on a connection that the application
// closed while it was idle.
func (c *Client) get(ctx context.Context, req *http.Request) (response, error) {
	ctx, span := tracing.StartCall(ctx, "userinfo")
	defer span.End()
	resp, err := c.http.RoundTrip(req.WithContext(ctx))
	if err != nil {
		span.Fail("no response")
		return response{}, redactError(ctx, err)
	}
	defer resp.Body.Close()
	span.Status(resp.StatusCode)
	a := response{status: resp.StatusCode, encoding: resp.Header.Get("Content-Encoding")}
	if a.status < 200 {
		return a, nil // 101: the body is the raw connection, which ignores ctx
	}
	// A body that is read to its end allows the connection to be reused.
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse+1)); err != nil {
		return a, redactError(ctx, err)
	}
	return a, nil
}

// request builds the request to the application: with the headers to forward, and
// nothing else of the client's request.
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
// authenticates the connection with all later requests on it (RFC 4559, section 6).
// Such a connection must not be reused for other users.
func authenticatesConnection(credentials []string) bool {
	return slices.ContainsFunc(credentials, func(c string) bool {
		scheme, _, _ := strings.Cut(c, " ")
		return strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")
	})
}

// isValidHeaderValue reports whether value can be sent as the value of a header.
func isValidHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && r < ' ' || r == 0x7f })
}

// isValidHost reports whether host can be sent unchanged. The transport would replace
// or remove some invalid hosts.
func isValidHost(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"#%/<>?@\\^`{|}", r)
	})
}

// errTimedOut means that the application did not respond before the timeout.
var errTimedOut = errors.New("timed out waiting for the response")

// redactError converts an error of a call to one that is safe to log.
func redactError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errTimedOut
	}
	return neterror.Plain("the application", true, err)
}

// Interface guard
var _ identity.UserinfoClient = (*Client)(nil)
