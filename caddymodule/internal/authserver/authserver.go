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
	"net/url"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// maxBody is the maximum number of bytes of a response body that are read, so that the
// connection can be reused. The body is not used.
const maxBody = 4 << 10

// Config configures a Client. Do not change it after New.
type Config struct {
	// URL is the URL to call: http or https, any host.
	URL string
	// DefaultPath is the path of a URL that has none, or only a slash, which serves a
	// portal instead of the endpoint. Default: /.
	DefaultPath string
	// ForwardHeaders are the names of request headers to forward in addition to
	// Authorization, Cookie and User-Agent.
	ForwardHeaders []string
	// Timeout is the timeout of the whole call. Default: 5s. Must not be negative.
	Timeout time.Duration
	// MaxWaiting limits the number of concurrent calls. More are rejected with
	// identity.ErrAuthServerBusy. 0: no limit.
	MaxWaiting int
	// Transport sends the calls. nil: a shared one that trusts the certificate
	// authorities of the system.
	Transport http.RoundTripper
	// OnError is called with the error of a failed call, for the log. The error
	// contains nothing of the request, only the status of the response, and only host
	// and port of the URL. nil: errors are ignored.
	OnError func(error)
}

// Client calls one authentication server. It is safe for concurrent use. Create it with
// New.
type Client struct {
	url         *url.URL
	forward     []string // canonical names of forward_headers, without Host
	credentials []string // forward, Authorization and Cookie
	client      *subrequest.Client
	onError     func(error)
}

// New returns a Client. The error joins all problems, each with the name of the option.
func New(cfg Config) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = subrequest.DefaultTimeout
	}
	c := &Client{onError: cfg.OnError, client: subrequest.New(subrequest.Config{
		Peer: "the auth server", Span: "auth_server", Timeout: cfg.Timeout, MaxWaiting: cfg.MaxWaiting, Transport: cfg.Transport,
	})}
	if c.onError == nil {
		c.onError = func(error) {}
	}
	var errs []error
	u, err := subrequest.ParseURL(cfg.URL)
	if err != nil {
		errs = append(errs, fmt.Errorf("auth_server: %w, such as http://authelia:9091", err))
	} else {
		if u.Path == "" || u.Path == "/" && cfg.DefaultPath != "" {
			u.Path = cfg.DefaultPath
		}
		c.url = u
	}
	forward, err := subrequest.ForwardHeaders(cfg.ForwardHeaders)
	errs = append(errs, err)
	for _, name := range forward {
		if reserved[name] {
			errs = append(errs, fmt.Errorf("forward_headers: cannot forward %s: the call has its own", name))
		}
	}
	c.forward, c.credentials = forward, append([]string{"Authorization", "Cookie"}, forward...)
	if cfg.Timeout < 0 {
		errs = append(errs, errors.New("timeout: must be positive"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// reserved are the headers that each call has already.
var reserved = map[string]bool{
	"Accept": true, "Host": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Method": true,
	"X-Forwarded-Proto": true, "X-Forwarded-Uri": true, "X-Requested-With": true,
}

// Forwards returns the canonical names of the request headers that can change the
// response. The caller must not change the slice.
func (c *Client) Forwards() []string { return c.credentials }

// Check implements identity.AuthServer.
func (c *Client) Check(ctx context.Context, r identity.AuthRequest) (http.Header, error) {
	if !subrequest.IsValidHost(r.Host) || !subrequest.HasCredentials(r.Header, c.credentials) {
		return nil, identity.ErrNoCredentials
	}
	resp, err := c.client.Do(ctx, c.request(&r), maxBody)
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
	// If the client canceled the request, the error is not about the auth server.
	if !errors.Is(ctx.Err(), context.Canceled) {
		c.onError(err)
	}
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

// request builds the request to the auth server: the credentials of the client's
// request, where it was sent, and nothing else of it.
func (c *Client) request(r *identity.AuthRequest) *http.Request {
	u := *c.url
	req := &http.Request{
		Method: http.MethodGet, URL: &u, Host: r.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Accept":             {"application/json"},
			"Accept-Encoding":    {"identity"},
			"X-Requested-With":   {"XMLHttpRequest"}, // many auth servers then respond 401 instead of a redirect
			"X-Forwarded-Method": {r.Method},
			"X-Forwarded-Uri":    {r.URI},
			"User-Agent":         r.Header["User-Agent"], // nil: net/http sends none
		},
	}
	if u.Scheme == "https" || r.Host == "" {
		req.Host = u.Host
	}
	for _, name := range c.credentials {
		if values := r.Header[name]; len(values) > 0 {
			req.Header[name] = values
		}
	}
	if cookies := r.Header["Cookie"]; len(cookies) > 1 {
		// HTTP/2 may split the header (RFC 9113, section 8.2.3).
		req.Header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	setForwarded(req.Header, r)
	req.Close = subrequest.AuthenticatesConnection(r.Header["Authorization"])
	return req
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
