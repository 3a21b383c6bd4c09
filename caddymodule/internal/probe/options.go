package probe

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// options are the values of the flags.
type options struct {
	cookies, headers    []string
	bearer, user        string
	clientType, service string
	origin, ca          string
	delete, json        bool
	timeout             time.Duration
}

// credential is a request header that authenticates.
type credential struct {
	name  string // in canonical form
	value masked.String
}

// newProbe returns the probe of a URL. All errors are usage errors. They quote neither
// the URL nor a credential.
func newProbe(rawURL string, o *options) (*probe, error) {
	p := &probe{options: o, pause: minPause}
	if o.timeout <= 0 {
		return nil, command.UsageError("--timeout must be positive")
	}
	if o.service != "" {
		if p.service = serviceByName(o.service); p.service == nil {
			return nil, command.UsageError("--service must be huma or human_api")
		}
	}
	if err := p.parseURL(rawURL); err != nil {
		return nil, err
	}
	if o.clientType != "" {
		clientType := clienttype.Parse(o.clientType)
		if clientType == "" {
			return nil, command.UsageError("--client-type must be %s", strings.Join(clienttype.All, ", "))
		}
		p.only = string(clientType)
	}
	if err := checkOriginFlag(o.origin, p.url); err != nil {
		return nil, err
	}
	var err error
	if p.credentials, err = o.credentials(); err != nil {
		return nil, err
	}
	roots, err := o.authorities()
	p.send = newTransport(roots)
	return p, err
}

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

// reserved lists the headers that --header must not set, because a check sets them, or
// because they belong to the connection.
var reserved = []string{
	"Accept", "Accept-Encoding", "Cache-Control", "Origin", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Access-Control-Request-Headers", "Access-Control-Request-Method",
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// credentials returns the request headers of the flags.
func (o *options) credentials() ([]credential, error) {
	var all []credential
	add := func(flag, name, value string) error {
		switch {
		case !httpguts.ValidHeaderFieldValue(value):
			return command.UsageError("%s: the value has a character that is not allowed in a header", flag)
		case slices.ContainsFunc(all, func(c credential) bool { return c.name == name }):
			return command.UsageError("%s: the header %s is set twice", flag, name)
		}
		all = append(all, credential{name, masked.New(value)})
		return nil
	}
	cookies := make([]string, len(o.cookies))
	for i, text := range o.cookies {
		cookie, err := expand("--cookie", text)
		switch {
		case err != nil:
			return nil, err
		case strings.IndexByte(cookie, '=') <= 0 || strings.HasPrefix(strings.ToLower(cookie), "cookie:"):
			return nil, command.UsageError("--cookie: must be '<name>=<value>'")
		}
		cookies[i] = cookie
	}
	if len(cookies) > 0 {
		if err := add("--cookie", "Cookie", strings.Join(cookies, "; ")); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct{ flag, value, prefix string }{{"--bearer", o.bearer, "Bearer "}, {"--user", o.user, "Basic "}} {
		if f.value == "" {
			continue
		}
		value, err := expand(f.flag, f.value)
		switch {
		case err != nil:
			return nil, err
		case f.value == o.user && f.flag == "--user":
			if !strings.Contains(value, ":") {
				return nil, command.UsageError("--user: must be '<name>:<password>'")
			}
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		if err := add(f.flag, "Authorization", f.prefix+value); err != nil {
			return nil, err
		}
	}
	for _, text := range o.headers {
		name, value, found := strings.Cut(text, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		switch {
		case !found || !httpguts.ValidHeaderFieldName(name):
			return nil, command.UsageError("--header: must be '<name>: <value>'")
		case slices.Contains(reserved, name):
			return nil, command.UsageError("--header: %s is not a credential; the checks set it", name)
		}
		value, err := expand("--header", strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		if err := add("--header", name, value); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// expand replaces the placeholders {env.NAME} and {file./path}.
func expand(flag, text string) (string, error) {
	value, err := option.Expand(text)
	if err != nil {
		return "", command.UsageError("%s: %w", flag, err)
	}
	return value, nil
}

// authorities returns the certificate authorities of --ca, or nil for those of the
// system.
func (o *options) authorities() (*x509.CertPool, error) {
	if o.ca == "" {
		return nil, nil
	}
	pem, err := textfile.Read(o.ca)
	if err != nil {
		return nil, command.UsageError("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, command.UsageError("--ca: %s has no certificate in PEM format", o.ca)
	}
	return pool, nil
}

// hasAmbient reports whether a browser would add one of the credentials by itself to a
// request that a page of another site started: a cookie, or basic authentication.
func (p *probe) hasAmbient() bool {
	return slices.ContainsFunc(p.credentials, func(c credential) bool {
		return c.name == "Cookie" || c.name == "Authorization" && strings.HasPrefix(c.value.Reveal(), "Basic ")
	})
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
