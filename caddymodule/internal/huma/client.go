// Package huma is the client of Huma's Integration API: it signs users in and
// up, and signs the consent on their behalf. It speaks the service's wire
// format and signs its calls; by which rules a user is registered, and how
// often a call is repeated, is decided elsewhere.
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

// Config is what a Client needs to know. It does not change afterwards.
type Config struct {
	// API is the base address. It may have a path; a trailing slash, a query
	// and a fragment are ignored.
	API *url.URL

	// ProjectID goes into the bodies of sign in and sign up.
	ProjectID string

	// DeploymentID goes into the header deploymentId: no line breaks in it.
	// Empty: not sent.
	DeploymentID string

	// ClientIDs holds the client id of each client type that may ask.
	ClientIDs map[login.ClientType]string

	// Signer signs each attempt. Nil: not signed.
	Signer Signer

	// HeaderUp are further headers, each of which has passed Header.Check. One
	// that this package sets itself, in any spelling, is replaced; those that
	// cannot be set are left out. {sig.timestamp} in a value becomes the time
	// that was signed, in Unix seconds.
	HeaderUp []Header

	// Language is the user's language, a tag like en, at sign in and sign up.
	// Empty: not sent.
	Language string

	// Timezone is the user's IANA zone at sign up. Empty: not sent.
	Timezone string

	// ActivationCode is sent at sign up. Empty: not sent.
	ActivationCode masked.String

	// Attributes are further userAttributes at sign up. The person's own name
	// wins over givenName and familyName, and an empty value is not sent.
	Attributes map[string]string

	// HTTP makes the calls; see wire.Post for what it has to be. Answers are
	// never decompressed. Default: http.DefaultTransport.
	HTTP http.RoundTripper

	// Do makes one call of the service out of one or more attempts: retries,
	// limits and the breaker. It returns nil only if the last attempt did.
	// A second attempt at a sign up is not made. Default: one attempt.
	Do func(ctx context.Context, op exchange.Op, call func(context.Context) error) error
}

// Client calls Huma. Any number of goroutines may use it.
type Client struct {
	cfg  Config
	urls map[exchange.Op]url.URL
}

// paths of the calls, below the base address.
var paths = map[exchange.Op]string{
	exchange.OpSignIn:  "/api/integration/v1/auth/signin",
	exchange.OpSignUp:  "/api/integration/v1/auth/signup",
	exchange.OpConsent: "/api/integration/v1/auth/sign-consent",
}

// New returns a Client. It makes no call and checks nothing: whoever loads the
// config has done that, and tells the operator which option is wrong.
func New(cfg Config) *Client {
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultTransport
	}
	if cfg.Do == nil {
		cfg.Do = func(ctx context.Context, _ exchange.Op, call func(context.Context) error) error {
			return call(ctx)
		}
	}
	c := &Client{cfg: cfg, urls: make(map[exchange.Op]url.URL, len(paths))}
	for op, path := range paths {
		c.urls[op] = wire.Endpoint(cfg.API, path)
	}
	return c
}

// SignIn implements login.Huma.
func (c *Client) SignIn(ctx context.Context, p login.Person) (*exchange.Grant, error) {
	const op = exchange.OpSignIn
	clientID, err := c.clientID(op, p)
	if err != nil {
		return nil, err
	}
	body := wire.Encode(signInBody{
		ClientID:  clientID,
		ProjectID: c.cfg.ProjectID,
		Email:     p.Email.Reveal(),
		Language:  c.cfg.Language,
	})

	var grant *exchange.Grant
	err = c.cfg.Do(ctx, op, func(ctx context.Context) error {
		a, err := c.post(ctx, op, body)
		if err != nil {
			return err
		}
		g, err := readGrant(op, a)
		if err != nil {
			return err
		}
		if g == nil {
			return &exchange.AnswerError{Op: op, Why: "no token in it"}
		}
		grant = g
		return nil
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// SignUp implements login.Huma.
func (c *Client) SignUp(ctx context.Context, p login.Person) (*exchange.Grant, error) {
	const op = exchange.OpSignUp
	clientID, err := c.clientID(op, p)
	if err != nil {
		return nil, err
	}
	body := wire.Encode(c.signUpBody(clientID, p))

	var (
		grant *exchange.Grant
		made  bool
		first error
	)
	err = c.cfg.Do(ctx, op, func(ctx context.Context) error {
		// Nobody may register somebody twice, whatever Do does about errors.
		if made {
			return first
		}
		made = true
		a, err := c.post(ctx, op, body)
		if err == nil {
			grant, err = readGrant(op, a)
		}
		first = err
		return err
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
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
		return "", fmt.Errorf("%s: no client id for this client type", op)
	}
	return id, nil
}

// answer is a success of the service.
type answer struct {
	body []byte
	sent time.Time // just before the attempt
}

// Interface guard
var _ login.Huma = (*Client)(nil)
