// Package humanapi is the client of Human API's Connect tokens. Package connect decides
// which type of token a user gets; Config.Do retries calls.
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

// path of the call, relative to the base URL.
const path = "/v1/connect/token"

// Config configures a Client. Do not change it after New.
type Config struct {
	// API is the base URL. It may have a path. Its trailing slash, query and fragment
	// are ignored. Each request body contains the secret, so the URL must be https, or
	// http to this machine only.
	API *url.URL

	// ClientID is the id of the application that the users belong to.
	ClientID string

	// ClientSecret is the secret of the application.
	ClientSecret masked.String

	// ExtraScopes are requested with each token. Empty: not sent.
	ExtraScopes []string

	// OnRefreshToken is called with the id_refresh_token of each response to a request for
	// an id token. nil: refresh tokens are dropped.
	OnRefreshToken func(user, token masked.String)

	// HTTP is the transport; see wire.Post for its requirements. Responses are never
	// decompressed. Required.
	HTTP http.RoundTripper

	// Do runs one call of the service as one or more attempts. It implements retries,
	// limits and the circuit breaker. It must return nil only if the last attempt did.
	// Required.
	Do func(ctx context.Context, op exchange.Op, call func(context.Context) error) error
}

// Client calls Human API. It is safe for concurrent use. Create it with New.
type Client struct {
	cfg      Config
	endpoint url.URL
}

// New returns a Client. It makes no call and does not validate cfg: the config loader
// has done that, and reports which option is wrong.
func New(cfg Config) *Client {
	cfg.ExtraScopes = slices.Clone(cfg.ExtraScopes)
	return &Client{cfg: cfg, endpoint: wire.Endpoint(cfg.API, path)}
}

// Token implements connect.HumanAPI.
func (c *Client) Token(ctx context.Context, t connect.TokenType, u connect.Person) (*exchange.Token, error) {
	members, err := membersOf(t)
	if err != nil {
		return nil, err
	}
	// JSON encoding would map different ids that are not UTF-8 to the same text, so
	// that two users would be one user at the service.
	if id := u.ID.Reveal(); id == "" || !utf8.ValidString(id) {
		return nil, fmt.Errorf("%s: the user's id is empty or not valid UTF-8", t.Op())
	}
	body := c.body(t, u)

	var (
		token   *exchange.Token
		refresh masked.String
	)
	err = c.cfg.Do(ctx, t.Op(), func(ctx context.Context) error {
		sent := time.Now()
		response, err := wire.Post(ctx, c.cfg.HTTP, wire.Call{
			Op:        t.Op(),
			URL:       c.endpoint,
			Header:    wire.Header(),
			Body:      body,
			ReadError: readErrorResponse,
		})
		if err != nil {
			return err
		}
		token, refresh, err = members.read(t, response, sent)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !refresh.IsZero() && c.cfg.OnRefreshToken != nil {
		c.cfg.OnRefreshToken(u.ID, refresh)
	}
	return token, nil
}

// Interface guard
var _ connect.HumanAPI = (*Client)(nil)
