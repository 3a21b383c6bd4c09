package userinfo

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultTimeout is the default of Config.Timeout.
const DefaultTimeout = 5 * time.Second

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
	// OnError is called with the error of a failed call, for the log. The error
	// contains nothing of the request, only the status of the response, and only host
	// and port of the URL. nil: errors are ignored.
	OnError func(error)
}

// Errors of the configuration. They do not contain the URL, because it may contain a
// secret.
var (
	errURL            = errors.New("userinfo: is not a URL: write one such as http://127.0.0.1:3000/me")
	errScheme         = errors.New("userinfo: must begin with http:// or https://: write a URL such as http://127.0.0.1:3000/me")
	errHost           = errors.New("userinfo: the URL has no host or an invalid port: write a URL such as http://127.0.0.1:3000/me")
	errUserInfo       = errors.New("userinfo: the URL must not contain a user or a password: remove the text before the @; the application receives the credentials of the request (option forward_headers)")
	errFragment       = errors.New("userinfo: the URL must not contain a fragment: remove the # and the text after it")
	errNoCredentials  = errors.New("forward_headers: must contain a header with credentials, such as Authorization or Cookie")
	errInvalidTimeout = errors.New("timeout: must be positive")
)

// New returns the Client that cfg describes. The error joins all problems, each with
// the name of the option.
func New(cfg Config) (*Client, error) {
	c := &Client{timeout: cfg.Timeout, maxWaiting: int64(cfg.MaxWaiting), waiting: new(atomic.Int64), onError: cfg.OnError, http: shared}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.onError == nil {
		c.onError = func(error) {}
	}
	errs := []error{c.setURL(cfg.URL), c.setForward(cfg.ForwardHeaders)}
	if c.timeout < 0 {
		errs = append(errs, errInvalidTimeout)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) setURL(rawURL string) error {
	if !hasScheme(rawURL) {
		return errScheme
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return errURL // err is not returned, because it quotes the URL
	case u.User != nil:
		return errUserInfo
	case strings.Contains(rawURL, "#"):
		return errFragment
	case u.Hostname() == "" || !isPort(u.Port()):
		return errHost
	}
	c.url = u
	return nil
}

// hasScheme reports whether rawURL begins with http:// or https://.
func hasScheme(rawURL string) bool {
	scheme, _, found := strings.Cut(rawURL, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// isPort reports whether port is a valid port, or empty for the default port of the
// scheme.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// hopByHop are headers that belong to one connection or to the framing of a body. If
// they were forwarded, they could change the framing of the request or take over the
// connection.
var hopByHop = []string{
	"Connection", "Content-Encoding", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// alteringHeaders are headers that ask for a response other than a 200 with JSON.
var alteringHeaders = []string{
	"Accept-Encoding", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range",
}

func (c *Client) setForward(names []string) error {
	if names == nil {
		names = []string{"Authorization", "Cookie"}
	}
	var errs []error
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !validName(name):
			errs = append(errs, fmt.Errorf("forward_headers: %q is not a header name", name))
		case slices.Contains(hopByHop, key):
			errs = append(errs, fmt.Errorf("forward_headers: %s cannot be forwarded: it describes the connection or the body of the client's request", key))
		case slices.Contains(alteringHeaders, key):
			errs = append(errs, fmt.Errorf("forward_headers: %s cannot be forwarded: it could change the response to something other than status 200 with JSON", key))
		case key == "Host":
			c.host = true
		case !slices.Contains(c.forward, key):
			c.forward = append(c.forward, key)
		}
	}
	if errs == nil && c.forward == nil {
		errs = append(errs, errNoCredentials)
	}
	return errors.Join(errs...)
}

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
