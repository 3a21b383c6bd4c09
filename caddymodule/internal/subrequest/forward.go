package subrequest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop are headers that belong to one connection or to the framing of a body. If
// they were forwarded, they could change the framing of the request or take over the
// connection.
var hopByHop = []string{
	"Connection", "Content-Encoding", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// conditional are headers that request a response other than a complete, uncompressed
// one.
var conditional = []string{
	"Accept-Encoding", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range",
}

// forwardHeaders returns the canonical form of the option forward_headers, without
// duplicates. The error joins all problems.
func forwardHeaders(names []string) ([]string, error) {
	var (
		forward []string
		errs    []error
	)
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fmt.Errorf("forward_headers: %q is not a header name", name))
		case slices.Contains(hopByHop, key):
			errs = append(errs, fmt.Errorf("forward_headers: %s cannot be forwarded: it describes the connection or the body of the client's request", key))
		case slices.Contains(conditional, key):
			errs = append(errs, fmt.Errorf("forward_headers: %s cannot be forwarded: it could change the response", key))
		case !slices.Contains(forward, key):
			forward = append(forward, key)
		}
	}
	return forward, errors.Join(errs...)
}

// HasCredentials reports whether header has a non-empty value of one of the headers to
// forward, and all their values can be sent. A request with an invalid value is treated
// as having none: most servers have already rejected it, and the called server is not
// the cause.
func (c *Client) HasCredentials(header http.Header) bool {
	found := false
	for _, name := range c.forward {
		for _, value := range header[name] {
			if !httpguts.ValidHeaderFieldValue(value) {
				return false
			}
			found = found || value != ""
		}
	}
	return found
}

// IsValidHost reports whether host can be sent unchanged. The transport would remove the
// zone of an IPv6 address.
func IsValidHost(host string) bool {
	return httpguts.ValidHostHeader(host) && !strings.Contains(host, "%")
}

// authenticatesConnection reports whether the credentials are of a scheme that
// authenticates the connection with all later requests on it (RFC 4559, section 6).
// Such a connection must not be reused for other users.
func authenticatesConnection(credentials []string) bool {
	return slices.ContainsFunc(credentials, func(c string) bool {
		scheme, _, _ := strings.Cut(c, " ")
		return strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")
	})
}

// parseURL parses the URL of a server: http or https, with a host. The errors do not
// contain the URL, because it may contain a secret.
func parseURL(s string) (*url.URL, error) {
	scheme, _, found := strings.Cut(s, "://")
	if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil, errors.New("must begin with http:// or https://")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL") // err quotes the URL
	case u.User != nil:
		return nil, errors.New("the URL must not contain a user or a password, because the call has the credentials of the request")
	case strings.Contains(s, "#"):
		return nil, errors.New("the URL must not contain a fragment (#)")
	case u.Hostname() == "" || !isPort(u.Port()):
		return nil, errors.New("the URL has no host or an invalid port")
	}
	return u, nil
}

// isPort reports whether port is a valid port, or empty for the default port of the
// scheme.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}
