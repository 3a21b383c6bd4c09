// Package userinfo gets the user of a request from the application: it sends one GET
// with the credentials of the request, for example to the application's own /me. It
// returns the parsed response; package identity decides which user it names.
package userinfo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
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
	client  *subrequest.Client
	onError func(error)
}

// Forwards returns the canonical names of the request headers that Fetch forwards. The
// caller must not change the slice.
func (c *Client) Forwards() []string { return c.forward }

// Fetch implements identity.UserinfoClient. Without credentials in header, it returns
// identity.ErrNoCredentials and does not call the application.
func (c *Client) Fetch(ctx context.Context, host string, header http.Header) (claims.Document, error) {
	if c.host && !subrequest.IsValidHost(host) || !subrequest.HasCredentials(header, c.forward) {
		return claims.Document{}, identity.ErrNoCredentials
	}
	resp, err := c.client.Do(ctx, c.request(host, header), maxResponse+1)
	switch {
	case errors.Is(err, subrequest.ErrBusy):
		return claims.Document{}, identity.ErrUserinfoBusy
	case resp.Status == http.StatusUnauthorized:
		return claims.Document{}, identity.ErrUnauthenticated
	case resp.Status == http.StatusForbidden:
		return claims.Document{}, identity.ErrForbidden
	}
	var d claims.Document
	if err == nil {
		d, err = parse(resp)
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
			"Accept":          {contentType},
			"Accept-Encoding": {"identity"},
			"User-Agent":      {userAgent},
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
	req.Close = subrequest.AuthenticatesConnection(header["Authorization"])
	return req
}

// Interface guard
var _ identity.UserinfoClient = (*Client)(nil)
