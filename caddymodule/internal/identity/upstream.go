package identity

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
)

// Placeholders that Caddy's reverse_proxy sets for the upstream it chose, and the status
// of its response.
const (
	statusCode       = "http.reverse_proxy.status_code"
	upstreamHostPort = "http.reverse_proxy.upstream.hostport"
	upstreamAddress  = "http.reverse_proxy.upstream.address"
)

// upstream is the auth server, in the form of Caddy's placeholders. The zero value
// matches any upstream.
type upstream struct {
	hostport string // host:port in lower case (ASCII), or the path of a socket
	address  string // hostport with its network in front
	exact    bool   // compare case-sensitively, for the path of a socket
}

// wasChosen reports whether the last proxy chose u, and whether there was a proxy at all.
func (u upstream) wasChosen(p Placeholders) (same, proxied bool) {
	hostport, known := p.Get(upstreamHostPort)
	address, alsoKnown := p.Get(upstreamAddress)
	return u.matches(hostport, u.hostport) || u.matches(address, u.address), known || alsoKnown
}

// matches reports whether the value of a placeholder equals want.
func (u upstream) matches(value any, want string) bool {
	text, ok := value.(string)
	if !ok {
		return false
	}
	if u.exact {
		return text == want
	}
	return syntax.EqualFold(text, want)
}

// parseUpstream parses an upstream, written as in the forward_auth line.
func parseUpstream(s string) (upstream, error) {
	switch network, rest, found := strings.Cut(s, "/"); {
	case strings.ContainsAny(s, "{} \t\r\n"):
		return upstream{}, errors.New("must not contain a placeholder or a space")
	case strings.Contains(s, "://"):
		return parseURLUpstream(s)
	case found && (network == "unix" || network == "unix+h2c"):
		if rest == "" {
			return upstream{}, errors.New("must have a path after unix/")
		}
		// Caddy dials unix+h2c as unix.
		return upstream{hostport: rest, address: "unix/" + rest, exact: true}, nil
	case found && (network == "tcp" || network == "tcp4" || network == "tcp6"):
		return parseHostPort(network, rest)
	case found:
		return upstream{}, errors.New("must not have a path, and its network must be tcp or unix")
	default:
		return parseHostPort("tcp", s)
	}
}

// parseURLUpstream parses scheme://host[:port]. The default port is 80 for http and
// h2c, and 443 for https.
func parseURLUpstream(s string) (upstream, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return upstream{}, errors.New("is not a URL")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return upstream{}, errors.New("must have only a scheme, a host and a port")
	case u.Hostname() == "":
		return upstream{}, errors.New("must have a host")
	}
	port := u.Port()
	switch u.Scheme {
	case "http", "h2c":
		if port == "" {
			port = "80"
		}
	case "https":
		if port == "" {
			port = "443"
		}
	default:
		return upstream{}, errors.New("must have the scheme http, https or h2c")
	}
	return joinHostPort("tcp", u.Hostname(), port)
}

// parseHostPort parses host:port, or a host alone, whose port is 80.
func parseHostPort(network, s string) (upstream, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "80"
		if bare, ok := strings.CutPrefix(s, "["); ok {
			host = strings.TrimSuffix(bare, "]")
		}
		if host == "" {
			return upstream{}, errors.New("must have a host")
		}
	}
	return joinHostPort(network, host, port)
}

// joinHostPort validates host and port and joins them as Caddy does.
func joinHostPort(network, host, port string) (upstream, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return upstream{}, errors.New("must have a single port from 1 to 65535")
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, ":/@?#[]%,") {
		return upstream{}, errors.New("must have a name or an IP address as its host")
	}
	hostport := string(syntax.AppendLower(nil, net.JoinHostPort(host, strconv.FormatUint(n, 10))))
	return upstream{hostport: hostport, address: network + "/" + hostport}, nil
}
