// Package apiurl parses the base URLs of the services' APIs.
package apiurl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// Parse parses the base URL of an API. It ignores blanks around it, and removes slashes at
// the end of its path. The scheme must be https; http is allowed for loopback addresses
// only, because over http an attacker on the network could read the users' tokens. The
// error contains nothing of the URL but its scheme, because the URL may hold a password.
func Parse(raw string) (*url.URL, error) {
	u, err := url.Parse(textfile.TrimBlanks(raw))
	switch {
	case err != nil:
		return nil, errors.New("is not a valid URL") // the text may hold a password
	case u.User != nil:
		return nil, errors.New("must not contain a username or password")
	case u.Host == "" || u.Hostname() == "":
		return nil, errors.New("must be an absolute URL, such as https://api.example.com")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New("must not have a query or a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("must be https; http is allowed for loopback addresses only")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("must be https, not %s", u.Scheme)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Canonical returns the URL of an API in a canonical form, for comparison: lower-case
// host without a final dot, explicit port, and localhost for all loopback addresses. Two
// spellings of the same URL must not lead to two sign-ups of the same user. api must come
// from Parse.
func Canonical(api *url.URL) string {
	host, port := strings.TrimSuffix(strings.ToLower(api.Hostname()), "."), api.Port()
	if isLoopback(host) {
		host = "localhost"
	}
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[api.Scheme]
	}
	return api.Scheme + "://" + net.JoinHostPort(host, port) + api.EscapedPath()
}

// isLoopback reports whether host is localhost, a name below it, or a loopback address.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
