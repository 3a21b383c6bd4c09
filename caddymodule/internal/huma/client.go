// Package huma is the client of Huma's Integration API: it signs users in and up, signs
// the consent on their behalf, and signs its requests. Package login decides when a
// user is signed up; Config.Do retries calls.
package huma

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/wire"
)

// Config configures a Client. Do not change it after New.
type Config struct {
	// API is the base URL. It may have a path. Its trailing slash, query and fragment
	// are ignored.
	API *url.URL

	// ProjectID is sent in the bodies of sign-in and sign-up.
	ProjectID string

	// DeploymentID is sent in the header deploymentId. It must not contain line breaks.
	// Empty: not sent.
	DeploymentID string

	// ClientIDs holds the client id for each allowed client type.
	ClientIDs map[login.ClientType]string

	// Signer signs each attempt. nil: requests are not signed.
	Signer Signer

	// HeaderUp are additional headers. Each must have passed Header.Check. They replace
	// headers that this package sets itself, compared without case. Headers that cannot
	// be set are not sent. {sig.timestamp} in a value is replaced by the signed time in
	// Unix seconds.
	HeaderUp []Header

	// Language is the user's language for sign-in and sign-up, a tag such as en. Empty:
	// not sent.
	Language string

	// Timezone is the user's IANA time zone for sign-up. Empty: not sent.
	Timezone string

	// ActivationCode is sent at sign-up. Empty: not sent.
	ActivationCode masked.String

	// Attributes are additional userAttributes for sign-up. The name of the user
	// overrides givenName and familyName. Empty values are not sent.
	Attributes map[string]string

	// SignInCall and SignUpCall change these calls. They must have passed CheckCalls.
	SignInCall, SignUpCall CallOptions

	// HTTP is the transport; see wire.Post for its requirements. Responses are never
	// decompressed. Required.
	HTTP http.RoundTripper

	// Do runs one call of the service as one or more attempts. It implements retries,
	// limits and the circuit breaker. It must return nil only if the last attempt did.
	// A sign-up is attempted only once, whatever Do does. Required.
	Do func(ctx context.Context, op exchange.Op, call func(context.Context) error) error
}

// Client calls Huma. It is safe for concurrent use. Create it with New.
type Client struct {
	cfg      Config
	urls     map[exchange.Op]url.URL
	suffixes map[exchange.Op][]byte // CallOptions.suffix
}

// paths are the published paths of the calls, relative to the base URL.
var paths = map[exchange.Op]string{
	exchange.OpSignIn:  "/api/integration/v1/auth/signin",
	exchange.OpSignUp:  "/api/integration/v1/auth/signup",
	exchange.OpConsent: "/api/integration/v1/auth/sign-consent",
}

// New returns a Client. It makes no call and does not validate cfg: the config loader
// has done that, and reports which option is wrong.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg, urls: make(map[exchange.Op]url.URL, len(paths)), suffixes: make(map[exchange.Op][]byte)}
	calls := map[exchange.Op]CallOptions{exchange.OpSignIn: cfg.SignInCall, exchange.OpSignUp: cfg.SignUpCall}
	for op := range paths {
		c.urls[op] = wire.Endpoint(cfg.API, calls[op].path(op))
		c.suffixes[op] = calls[op].suffix()
	}
	return c
}

// SignIn implements login.Huma. It fails if there is no client id for the client type.
func (c *Client) SignIn(ctx context.Context, p login.Person) (*exchange.Token, error) {
	const op = exchange.OpSignIn
	clientID, err := c.clientID(op, p)
	if err != nil {
		return nil, err
	}
	body := c.encode(op, c.signInBody(clientID, p))

	var token *exchange.Token
	err = c.cfg.Do(ctx, op, func(ctx context.Context) error {
		a, err := c.post(ctx, op, body)
		if err != nil {
			return err
		}
		g, err := readToken(op, a)
		if err != nil {
			return err
		}
		if g == nil {
			return &exchange.ResponseError{Op: op, Reason: "no token"}
		}
		token = g
		return nil
	})
	if err != nil {
		return nil, err
	}
	return token, nil
}

// SignUp implements login.Huma. It fails if there is no client id for the client type.
// The Token is nil if the response has no token.
func (c *Client) SignUp(ctx context.Context, p login.Person) (*exchange.Token, error) {
	const op = exchange.OpSignUp
	clientID, err := c.clientID(op, p)
	if err != nil {
		return nil, err
	}
	body := c.encode(op, c.signUpBody(clientID, p))

	var (
		token *exchange.Token
		made  bool
		first error
	)
	err = c.cfg.Do(ctx, op, func(ctx context.Context) error {
		// Do may call this again after an error. A second request could create a second
		// account.
		if made {
			return first
		}
		made = true
		a, err := c.post(ctx, op, body)
		if err == nil {
			token, err = readToken(op, a)
		}
		first = err
		return err
	})
	if err != nil {
		return nil, err
	}
	return token, nil
}

// SignConsent implements login.Huma.
func (c *Client) SignConsent(ctx context.Context, p login.Person) error {
	const op = exchange.OpConsent
	body := wire.Encode(consentBody{Email: p.Email.Reveal()})
	return c.cfg.Do(ctx, op, func(ctx context.Context) error {
		_, err := c.post(ctx, op, body)
		return err
	})
}

func (c *Client) clientID(op exchange.Op, p login.Person) (string, error) {
	id := c.cfg.ClientIDs[p.ClientType]
	if id == "" {
		return "", fmt.Errorf("%s: no client id is set for this client type", op)
	}
	return id, nil
}

// response is a successful response of the service.
type response struct {
	body []byte
	sent time.Time // time just before the attempt
}

// Interface guard
var _ login.Huma = (*Client)(nil)
