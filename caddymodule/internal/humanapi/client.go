// Package humanapi is the client of Human API's Connect tokens. It speaks the
// service's wire format; which type of token a user gets, and how often a call
// is repeated, is decided elsewhere.
package humanapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// path of the call, below the base address.
const path = "/v1/connect/token"

// Config is what a Client needs to know. It does not change afterwards.
type Config struct {
	// API is the base address. It may have a path; a trailing slash, a query
	// and a fragment are ignored. The secret goes there in the body of each
	// call: https, or http to this machine only.
	API *url.URL

	// ClientID is the application, of which the users are.
	ClientID string

	// ClientSecret is the application's secret.
	ClientSecret masked.String

	// ExtraScopes are asked for with each token. Empty: not sent.
	ExtraScopes []string

	// HTTP makes the calls; see wire.Post for what it has to be. Answers are
	// never decompressed. Default: http.DefaultTransport.
	HTTP http.RoundTripper

	// Do makes one call of the service out of one or more attempts: retries,
	// limits and the breaker. It returns nil only if the last attempt did.
	// Default: one attempt.
	Do func(ctx context.Context, op exchange.Op, call func(context.Context) error) error
}

// Client calls Human API. Any number of goroutines may use it.
type Client struct {
	cfg      Config
	endpoint url.URL
}

// New returns a Client. It makes no call and checks nothing: whoever loads the
// config has done that, and tells the operator which option is wrong.
func New(cfg Config) *Client {
	cfg.ExtraScopes = slices.Clone(cfg.ExtraScopes)
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultTransport
	}
	if cfg.Do == nil {
		cfg.Do = func(ctx context.Context, _ exchange.Op, call func(context.Context) error) error {
			return call(ctx)
		}
	}
	return &Client{cfg: cfg, endpoint: wire.Endpoint(cfg.API, path)}
}

// Token implements connect.HumanAPI.
func (c *Client) Token(ctx context.Context, t connect.TokenType, u connect.Person) (*exchange.Grant, error) {
	members, err := membersOf(t)
	if err != nil {
		return nil, err
	}
	// Two users whose ids become one text would be one user at the service.
	if id := u.ID.Reveal(); id == "" || !utf8.ValidString(id) {
		return nil, fmt.Errorf("%s: the user's id is empty or not UTF-8", t.Op())
	}
	body := c.body(t, u)

	var grant *exchange.Grant
	err = c.cfg.Do(ctx, t.Op(), func(ctx context.Context) error {
		sent := time.Now()
		answer, err := wire.Post(ctx, c.cfg.HTTP, wire.Call{
			Op:      t.Op(),
			URL:     c.endpoint,
			Header:  wire.Header(),
			Body:    body,
			Refused: readRefusal,
		})
		if err != nil {
			return err
		}
		grant, err = members.read(t, answer, sent)
		return err
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// Interface guard
var _ connect.HumanAPI = (*Client)(nil)
