package probe

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
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
func newProbe(rawURL string, o *options, pause time.Duration) (*probe, error) {
	p := &probe{options: o, pause: pause}
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

// reserved lists the headers that --header must not set, because a check sets them, or
// because they belong to the connection.
var reserved = []string{
	"Accept", "Accept-Encoding", "Cache-Control", "Origin", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Access-Control-Request-Headers", "Access-Control-Request-Method",
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// credentials returns the request headers of the flags.
func (o *options) credentials() ([]credential, error) {
	var c credentials
	steps := []func(*credentials) error{o.addCookies, o.addAuthorization, o.addHeaders}
	for _, add := range steps {
		if err := add(&c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// credentials collects the request headers that authenticate.
type credentials []credential

// add adds a header. flag is the flag that it comes from, for the error.
func (c *credentials) add(flag, name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldValue(value):
		return command.UsageError("%s: the value has a character that is not allowed in a header", flag)
	case slices.ContainsFunc(*c, func(other credential) bool { return other.name == name }):
		return command.UsageError("%s: the header %s is set twice", flag, name)
	}
	*c = append(*c, credential{name, masked.New(value)})
	return nil
}

func (o *options) addCookies(c *credentials) error {
	if len(o.cookies) == 0 {
		return nil
	}
	cookies := make([]string, len(o.cookies))
	for i, text := range o.cookies {
		cookie, err := expand("--cookie", text)
		switch {
		case err != nil:
			return err
		case strings.IndexByte(cookie, '=') <= 0 || strings.HasPrefix(strings.ToLower(cookie), "cookie:"):
			return command.UsageError("--cookie: must be '<name>=<value>'")
		}
		cookies[i] = cookie
	}
	return c.add("--cookie", "Cookie", strings.Join(cookies, "; "))
}

func (o *options) addAuthorization(c *credentials) error {
	if o.bearer != "" {
		token, err := expand("--bearer", o.bearer)
		if err == nil {
			err = c.add("--bearer", "Authorization", "Bearer "+token)
		}
		if err != nil {
			return err
		}
	}
	if o.user == "" {
		return nil
	}
	account, err := expand("--user", o.user)
	switch {
	case err != nil:
		return err
	case !strings.Contains(account, ":"):
		return command.UsageError("--user: must be '<name>:<password>'")
	}
	return c.add("--user", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(account)))
}

func (o *options) addHeaders(c *credentials) error {
	for _, text := range o.headers {
		name, value, found := strings.Cut(text, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		switch {
		case !found || !httpguts.ValidHeaderFieldName(name):
			return command.UsageError("--header: must be '<name>: <value>'")
		case slices.Contains(reserved, name):
			return command.UsageError("--header: %s is not a credential; the checks set it", name)
		}
		value, err := expand("--header", strings.TrimSpace(value))
		if err == nil {
			err = c.add("--header", name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
