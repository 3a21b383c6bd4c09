package userinfo

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
)

// Config configures a Client. Do not change it after New.
type Config struct {
	// URL is the URL to call, with its query: http or https. Any host is allowed,
	// because it is the operator's own application.
	URL string
	// ForwardHeaders are the names of the request headers to forward. nil:
	// Authorization and Cookie. The name Host forwards the host of the request.
	ForwardHeaders []string
	// Timeout is the timeout of the whole call. Default: 5s. Must not be negative.
	Timeout time.Duration
	// MaxWaiting limits the number of concurrent calls. More are rejected with
	// identity.ErrUserinfoBusy. 0: no limit.
	MaxWaiting int
	// Transport sends the calls. nil: a shared one that trusts the certificate
	// authorities of the system.
	Transport http.RoundTripper
	// OnError is called with the error of a failed call, for the log. The error
	// contains nothing of the request, only the status of the response, and only host
	// and port of the URL. nil: errors are ignored.
	OnError func(error)
}

// Errors of the configuration.
var (
	errNoCredentials  = errors.New("forward_headers: must contain a header with credentials, such as Authorization or Cookie")
	errInvalidTimeout = errors.New("timeout: must be positive")
)

// New returns the Client that cfg describes. The error joins all problems, each with
// the name of the option.
func New(cfg Config) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = subrequest.DefaultTimeout
	}
	c := &Client{onError: cfg.OnError, client: subrequest.New(subrequest.Config{
		Peer: "the application", Span: "userinfo", Timeout: cfg.Timeout, MaxWaiting: cfg.MaxWaiting, Transport: cfg.Transport,
	})}
	if c.onError == nil {
		c.onError = func(error) {}
	}
	var errs []error
	u, err := subrequest.ParseURL(cfg.URL)
	if err != nil {
		errs = append(errs, fmt.Errorf("userinfo: %w; write a URL such as http://127.0.0.1:3000/me", err))
	}
	c.url = u
	errs = append(errs, c.setForward(cfg.ForwardHeaders))
	if cfg.Timeout < 0 {
		errs = append(errs, errInvalidTimeout)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) setForward(names []string) error {
	if names == nil {
		names = []string{"Authorization", "Cookie"}
	}
	forward, err := subrequest.ForwardHeaders(names)
	if i := slices.Index(forward, "Host"); i >= 0 {
		c.host = true
		forward = slices.Delete(forward, i, i+1)
	}
	c.forward = forward
	if err == nil && len(forward) == 0 {
		return errNoCredentials
	}
	return err
}
