// Package authserver calls an authentication server about a request, as Caddy's
// forward_auth does: one GET with the credentials of the request and its original URI.
// The headers of a 2xx response identify the user.
package authserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// maxBody is the maximum number of bytes of a response body that are read, so that the
// connection can be reused. The body is not used.
const maxBody = 4 << 10

// Client calls one authentication server. It is safe for concurrent use. Create it with
// New.
type Client struct {
	client *subrequest.Client
	https  bool
}

// New returns a Client. cfg.ForwardHeaders are the names of request headers to forward in
// addition to Authorization, Cookie and User-Agent. The error joins all problems, each
// with the name of the option.
func New(cfg subrequest.Config) (*Client, error) {
	var errs []error
	for _, name := range cfg.ForwardHeaders {
		if key := http.CanonicalHeaderKey(name); reserved[key] {
			errs = append(errs, fmt.Errorf("forward_headers: cannot forward %s: the call has its own", key))
		}
	}
	cfg.ForwardHeaders = append([]string{"Authorization", "Cookie"}, cfg.ForwardHeaders...)
	client, err := subrequest.New(subrequest.Peer{Name: "the auth server", Option: "auth_server", Example: "http://authelia:9091"}, cfg)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Client{client, strings.HasPrefix(strings.ToLower(cfg.URL), "https://")}, nil
}

// reserved are the headers that each call has already.
var reserved = map[string]bool{
	"Accept": true, "Host": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Method": true,
	"X-Forwarded-Proto": true, "X-Forwarded-Uri": true, "X-Requested-With": true,
}

// Forwards returns the canonical names of the request headers that can change the
// response. The caller must not change the slice.
func (c *Client) Forwards() []string { return c.client.Forwards() }

// Check implements identity.AuthServer.
func (c *Client) Check(ctx context.Context, r identity.AuthRequest) (http.Header, error) {
	if !subrequest.IsValidHost(r.Host) || !c.client.HasCredentials(r.Header) {
		return nil, identity.ErrNoCredentials
	}
	own := http.Header{
		"X-Requested-With":   {"XMLHttpRequest"}, // many auth servers then respond 401 instead of a redirect
		"X-Forwarded-Method": {r.Method},
		"X-Forwarded-Uri":    {r.URI},
		"User-Agent":         r.Header["User-Agent"], // nil: net/http sends none
	}
	if cookies := r.Header["Cookie"]; len(cookies) > 1 {
		// HTTP/2 may split the header (RFC 9113, section 8.2.3).
		own["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	setForwarded(own, &r)
	host := r.Host
	if c.https {
		host = "" // that of the URL, which the certificate is for
	}
	resp, err := c.client.Get(ctx, host, r.Header, own, maxBody)
	switch {
	case errors.Is(err, subrequest.ErrBusy):
		return nil, identity.ErrAuthServerBusy
	case resp.Status >= 200 && resp.Status <= 299:
		return resp.Header, nil // the body is not used, even if it could not be read
	case resp.Status == http.StatusUnauthorized, resp.Status >= 300 && resp.Status <= 399:
		return nil, identity.ErrAuthServerDenied
	case resp.Status == http.StatusForbidden:
		return nil, identity.ErrAuthServerForbidden
	case resp.Status != 0:
		err = errors.New(explain(resp.Status))
	}
	c.client.Report(ctx, err)
	return nil, identity.ErrAuthServerUnavailable
}

// explain returns an error text for an unexpected status, with its most common cause.
func explain(status int) string {
	text := fmt.Sprintf("unexpected status %d", status)
	switch status {
	case http.StatusBadRequest:
		return text + ": if a proxy in front of Caddy terminates TLS, set trusted_proxies: the auth server may refuse X-Forwarded-Proto: http"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return text + ": check the path of the URL"
	}
	return text
}

// setForwarded sets X-Forwarded-For, -Proto and -Host as Caddy's reverse_proxy does: the
// values of the request count only if they are from a trusted proxy.
func setForwarded(header http.Header, r *identity.AuthRequest) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil && !r.TrustedProxy {
		return // a Unix socket, whose peer has no address
	}
	client, _, _ = strings.Cut(client, "%") // without the zone of an IPv6 address
	proto := "http"
	if r.TLS {
		proto = "https"
	}
	host := r.Host
	chain := make([]string, 0, 2)
	if r.TrustedProxy {
		if prior := strings.Join(r.Header["X-Forwarded-For"], ", "); prior != "" {
			chain = append(chain, prior)
		}
		proto = last(r.Header["X-Forwarded-Proto"], proto)
		host = last(r.Header["X-Forwarded-Host"], host)
	}
	if client != "" {
		chain = append(chain, client)
	}
	if len(chain) > 0 {
		header["X-Forwarded-For"] = []string{strings.Join(chain, ", ")}
	}
	header["X-Forwarded-Proto"] = []string{proto}
	header["X-Forwarded-Host"] = []string{host}
}

// last returns the last of values, or otherwise if it is empty.
func last(values []string, otherwise string) string {
	if len(values) == 0 || values[len(values)-1] == "" {
		return otherwise
	}
	return values[len(values)-1]
}

// Interface guard
var _ identity.AuthServer = (*Client)(nil)
