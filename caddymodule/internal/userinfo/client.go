// Package userinfo gets the user of a request from the application: it sends one GET
// with the credentials of the request, for example to the application's own /me. It
// returns the parsed response; package identity decides which user it names.
package userinfo

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// maxResponse is the maximum length of a response body in bytes.
const maxResponse = 256 << 10

// Client calls one application. It is safe for concurrent use. Create it with New.
type Client struct {
	client *subrequest.Client
	host   bool // whether the host of the request is forwarded
}

// errNoCredentials is an error of New.
var errNoCredentials = errors.New("forward_headers: must contain a header with credentials, such as Authorization or Cookie")

// New returns a Client. cfg.ForwardHeaders are Authorization and Cookie if it is nil; the
// name Host forwards the host of the request. The error joins all problems, each with the
// name of the option.
func New(cfg subrequest.Config) (*Client, error) {
	var names []string
	host := false
	for _, name := range cfg.ForwardHeaders {
		if strings.EqualFold(name, "Host") {
			host = true
			continue
		}
		names = append(names, name)
	}
	if cfg.ForwardHeaders == nil {
		names = []string{"Authorization", "Cookie"}
	}
	cfg.ForwardHeaders = names
	client, err := subrequest.New(subrequest.Peer{Name: "the application", Option: "userinfo", Example: "http://127.0.0.1:3000/me"}, cfg)
	if len(names) == 0 {
		err = errors.Join(err, errNoCredentials)
	}
	if err != nil {
		return nil, err
	}
	return &Client{client, host}, nil
}

// Forwards returns the canonical names of the request headers that Fetch forwards, without
// Host. The caller must not change the slice.
func (c *Client) Forwards() []string { return c.client.Forwards() }

// Fetch implements identity.UserinfoClient. Without credentials in header, it returns
// identity.ErrNoCredentials and does not call the application.
func (c *Client) Fetch(ctx context.Context, host string, header http.Header) (claims.Document, error) {
	if !c.host {
		host = ""
	}
	if !subrequest.IsValidHost(host) || !c.client.HasCredentials(header) {
		return claims.Document{}, identity.ErrNoCredentials
	}
	resp, err := c.client.Get(ctx, host, header, nil, maxResponse+1)
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
		c.client.Report(ctx, err)
		return claims.Document{}, identity.ErrUserinfoUnavailable
	}
	return d, nil
}

// Interface guard
var _ identity.UserinfoClient = (*Client)(nil)
