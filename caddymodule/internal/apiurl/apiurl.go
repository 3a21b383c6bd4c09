// Package apiurl parses the base URLs of the services.
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

// Parse reads the base URL of an API, without blanks around it. Over http everything, the user's
// tokens too, would be readable on the way: it is only for this machine.
func Parse(raw string) (*url.URL, error) {
	u, err := url.Parse(textfile.TrimBlanks(raw))
	switch {
	case err != nil:
		return nil, errors.New("it is no URL") // the text may hold a password
	case u.User != nil:
		return nil, errors.New("it must not hold a user or password")
	case u.Host == "" || u.Hostname() == "":
		return nil, errors.New("it must be a whole URL, such as https://api.example.com")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New("it must not have a query or a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("it must be https; http is for loopback addresses only")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("its scheme is '%s': it must be https", u.Scheme)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Canonical is an API's URL in the form that is compared: two spellings of
// one service must not get two sign-ups for one user.
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

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
