package subrequest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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

// ForwardHeaders returns the canonical form of the option forward_headers, without
// duplicates. The error joins all problems.
func ForwardHeaders(names []string) ([]string, error) {
	var (
		forward []string
		errs    []error
	)
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !validName(name):
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

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// HasCredentials reports whether header has a non-empty value of one of the named
// headers, and all their values can be sent. A request with an invalid value is treated
// as having none: most servers have already rejected it, and the called server is not
// the cause.
func HasCredentials(header http.Header, names []string) bool {
	found := false
	for _, name := range names {
		for _, value := range header[name] {
			if !isValidValue(value) {
				return false
			}
			found = found || value != ""
		}
	}
	return found
}

// isValidValue reports whether value can be sent as the value of a header.
func isValidValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && r < ' ' || r == 0x7f })
}

// IsValidHost reports whether host can be sent unchanged. The transport would replace
// or remove some invalid hosts.
func IsValidHost(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"#%/<>?@\\^`{|}", r)
	})
}

// AuthenticatesConnection reports whether the credentials are of a scheme that
// authenticates the connection with all later requests on it (RFC 4559, section 6).
// Such a connection must not be reused for other users.
func AuthenticatesConnection(credentials []string) bool {
	return slices.ContainsFunc(credentials, func(c string) bool {
		scheme, _, _ := strings.Cut(c, " ")
		return strings.EqualFold(scheme, "Negotiate") || strings.EqualFold(scheme, "NTLM")
	})
}

// ParseURL parses the URL of a server: http or https, with a host. The errors do not
// contain the URL, because it may contain a secret.
func ParseURL(s string) (*url.URL, error) {
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
