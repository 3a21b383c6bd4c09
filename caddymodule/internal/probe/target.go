package probe

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// target is the endpoint to probe.
type target struct {
	url         *url.URL // without client type
	defaultPath bool     // the URL had no path
	only        string   // the only client type to request; empty: all
	service     *service // nil: not yet known
}

// title returns the URL without its query, which may contain secrets.
func (t *target) title() string { return t.url.Scheme + "://" + t.url.Host + t.url.EscapedPath() }

func (t *target) parseURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return command.UsageError("the argument must be a URL such as https://app.example.com/private/huma-token")
	case u.User != nil:
		return command.UsageError("the URL must not contain a user name or a password; use --user")
	}
	u.Fragment, u.RawFragment = "", ""
	query := u.Query()
	for _, name := range []string{"client_type", "clientType"} {
		if value := query.Get(name); value != "" {
			if t.only = string(clienttype.Parse(value)); t.only == "" {
				return command.UsageError("the client type in the URL must be %s", strings.Join(clienttype.All, ", "))
			}
		}
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	if u.Path == "" || u.Path == "/" {
		s := t.service
		if s == nil {
			s = huma
		}
		t.defaultPath, u.Path = true, s.path
	}
	t.url = u
	return nil
}

// isLocal reports whether the endpoint is on this machine, or on a private network, by
// its host name or address.
func (t *target) isLocal() bool {
	host := t.url.Hostname()
	address, err := netip.ParseAddr(host)
	if err != nil {
		return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".internal")
	}
	return address.IsLoopback() || address.IsPrivate()
}

// checkOriginFlag checks the value of --origin.
func checkOriginFlag(origin string, endpoint *url.URL) error {
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || origin != u.Scheme+"://"+u.Host:
		return command.UsageError("--origin must be a scheme and a host, such as https://app.example.com")
	case u.Scheme == endpoint.Scheme && u.Host == endpoint.Host:
		return command.UsageError("--origin is the origin of the URL itself: CORS applies to web apps of other origins only")
	}
	return nil
}

// hostOf returns the host of a URL in a response for the output, or "another host" if it
// is not a plain host name or address.
func hostOf(u *url.URL) string {
	address, err := netip.ParseAddr(u.Hostname())
	isName := u.Hostname() != "" && strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
	if isName || err == nil && address.Zone() == "" {
		return u.Host
	}
	return "another host"
}
