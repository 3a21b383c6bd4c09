package identify

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// parseUpstream returns an upstream, written as in the forward_auth line, as Caddy's
// placeholder {http.reverse_proxy.upstream.hostport} names it: host:port, or the path of a
// Unix socket. Its errors contain no part of the text.
func parseUpstream(text string) (hostport string, err error) {
	if strings.ContainsAny(text, "{} \t\r\n") {
		return "", errors.New("must not contain a placeholder or a space")
	}
	var defaultPort uint = 80
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "":
			return "", errors.New("is not a URL with a host")
		case *u != url.URL{Scheme: u.Scheme, Host: u.Host}:
			return "", errors.New("must have only a scheme, a host and a port")
		case u.Scheme == "https":
			defaultPort = 443
		case u.Scheme != "http" && u.Scheme != "h2c":
			return "", errors.New("must have the scheme http, https or h2c")
		}
		text = u.Host
	}
	a, err := caddy.ParseNetworkAddressWithDefaults(text, "tcp", defaultPort)
	if err != nil {
		return "", errors.New("must be host:port, a URL or unix/ and a path")
	}
	switch a.Network {
	case "unix", "unix+h2c":
		if a.Host == "" {
			return "", errors.New("must have a path after unix/")
		}
	case "tcp", "tcp4", "tcp6":
		if _, err := netip.ParseAddr(a.Host); err != nil && strings.ContainsAny(a.Host, ":/@?#[]%,") {
			return "", errors.New("must have a name or an IP address as its host")
		}
		if a.StartPort == 0 || a.PortRangeSize() != 1 {
			return "", errors.New("must have a single port from 1 to 65535")
		}
	default:
		return "", errors.New("must not have a path, and its network must be tcp or unix")
	}
	return a.JoinHostPort(0), nil
}
