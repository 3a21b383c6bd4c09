// Package identify creates an identity.Identifier from the options identity, trust and
// userinfo.
package identify

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/authserver"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Options are the dependencies of an Identifier that are not part of its config. They
// differ between a running server and a command.
type Options struct {
	// ByID means that users are identified by their id instead of their address.
	ByID bool
	// ForwardsHeader reports whether the server passes a request header with that
	// canonical name on to its handlers.
	ForwardsHeader func(name string) bool
	// Keys returns the public keys of a key server. It is called only with the
	// option verify.
	Keys func(assertion.Source) (*assertion.Keys, error)
	// MaxWaiting is the maximum number of requests that wait at once for the
	// application (userinfo), the auth server, or keys (verify). 0: no limit.
	MaxWaiting int
	// Timeout is the maximum duration of a request. It also limits the call of the
	// application and of the auth server, and the wait for keys. 0: no limit.
	Timeout time.Duration
	// OnAuthServerError is called with the error if the auth server did not respond in a
	// usable way.
	OnAuthServerError func(error)
	// OnUserinfoError is called with the error if the application could not
	// identify a user.
	OnUserinfoError func(error)
}

// New returns an Identifier for the options identity and trust, or for userinfo. It adds
// all errors in these options to p; then the Identifier must not be used and may be nil.
func New(c *config.Common, opts Options, p *option.Errors) *identity.Identifier {
	switch {
	case c.Identity != nil && c.Userinfo != nil:
		p.Addf("userinfo", "cannot be combined with identity; remove one of them")
		return nil
	case c.Userinfo != nil:
		if c.Trust != nil {
			p.Addf("trust", "cannot be combined with userinfo; remove it")
		}
		return userinfoIdentifier(c.Userinfo, opts, p)
	case c.Identity != nil:
		return requestIdentifier(c.Identity, readTrust(c.Trust, p), opts, p)
	}
	p.Addf("identity", "is required: write, for example, `identity authelia` with `trust forward_auth`, or `userinfo http://localhost:3000/api/me { email user.email }` on several lines")
	return nil
}

// requestIdentifier returns an Identifier that reads the identity from the request
// (option identity).
func requestIdentifier(i *config.Identity, trust identity.Trust, opts Options, p *option.Errors) *identity.Identifier {
	c := identity.Config{
		ByID:           opts.ByID,
		Preset:         p.Text("identity", i.Preset),
		Email:          expandSource(p, "email", i.Email),
		UserID:         expandSource(p, "user_id", i.UserID),
		Name:           expandSource(p, "name", i.Name),
		FirstName:      expandSource(p, "first_name", i.FirstName),
		LastName:       expandSource(p, "last_name", i.LastName),
		Verified:       expandSource(p, "verified", i.Verified),
		Domains:        p.Texts("domains", i.Domains),
		Trust:          trust,
		Verify:         i.Verify != nil,
		ForwardsHeader: opts.ForwardsHeader,
	}
	var ok bool
	if c.NameEncoding, ok = names.ParseEncoding(i.NameEncoding); !ok {
		p.Addf("name_encoding", "must be %s, not '%s'%s", strings.Join(config.NameEncodings, " or "), i.NameEncoding, suggest.DidYouMean(i.NameEncoding, config.NameEncodings))
	}
	if i.AuthServer != nil {
		if a := newAuthServer(i.AuthServer, c.Preset, opts, p); a != nil {
			c.AuthServer, c.Forwards = a, a.Forwards()
		} else if c.Trust.Mode == identity.TrustNone {
			return nil // without the auth server, New would ask for a trust
		}
	}
	if row, _ := presets.Find(c.Preset); i.Verify != nil || row.Provider != nil {
		verify := i.Verify
		if verify == nil {
			verify = new(config.Verify) // its errors name the options that are missing
		}
		if v := newVerifier(verify, c.Preset, opts, p); v != nil {
			c.Verifier = v
		}
	}
	identifier, err := identity.New(c)
	p.Join(err)
	return identifier
}

// newAuthServer returns the client of the auth server (option auth_server). If the option
// has errors, it adds them to p and returns nil.
func newAuthServer(a *config.AuthServer, preset string, opts Options, p *option.Errors) *authserver.Client {
	row, _ := presets.Find(preset)
	transport, err := transportFor(p.Text("ca", a.CA))
	p.Add("ca", err)
	client, err := authserver.New(subrequest.Config{
		URL:            p.Text("auth_server", a.URL),
		DefaultPath:    row.AuthPath,
		ForwardHeaders: p.Texts("forward_headers", a.ForwardHeaders),
		Timeout:        opts.callTimeout(time.Duration(a.Timeout)),
		MaxWaiting:     opts.MaxWaiting,
		Transport:      transport,
		OnError:        opts.OnAuthServerError,
	})
	p.Join(err)
	return client
}

// callTimeout returns the timeout of a call to the auth server or the application: the
// configured one, or subrequest.DefaultTimeout if it is 0, but not more than the timeout
// of a request.
func (opts Options) callTimeout(configured time.Duration) time.Duration {
	if configured == 0 {
		configured = subrequest.DefaultTimeout
	}
	if opts.Timeout > 0 {
		return min(configured, opts.Timeout)
	}
	return configured
}

// expandSource returns source with the placeholders in its paths replaced. The part
// before the paths stays as it is, because it is evaluated for each request. name is the name of
// the option, for errors.
func expandSource(p *option.Errors, name, source string) string {
	s := presets.ParseSource(source)
	if s.Paths == nil {
		return source
	}
	return s.From + " " + strings.Join(p.Texts(name, s.Paths), " ")
}

// readTrust returns the option trust, and adds its errors to p. c may be nil: then the
// result is zero.
func readTrust(c *config.Trust, p *option.Errors) (t identity.Trust) {
	if c == nil {
		return t
	}
	switch c.Mode {
	case config.TrustForwardAuth:
		t.Mode = identity.TrustForwardAuth
	case config.TrustProxies:
		t.Mode = identity.TrustProxies
	default:
		p.Addf("trust", "must be %s or %s, not '%s'%s", config.TrustForwardAuth, config.TrustProxies, c.Mode, suggest.DidYouMean(c.Mode, []string{config.TrustForwardAuth, config.TrustProxies}))
	}
	t.Upstream = p.Text("trust", c.Upstream)
	if t.Upstream != "" && t.Mode == identity.TrustForwardAuth {
		var err error
		if t.Upstream, err = parseUpstream(t.Upstream); err != nil {
			// The error does not contain the upstream, because a URL may hold a password.
			p.Join(fmt.Errorf("trust: the upstream of forward_auth %w: write it as in the forward_auth line, for example \"trust forward_auth authelia:9091\"", err))
		}
	}
	for _, r := range p.Texts("trust", c.Ranges) {
		prefixes, err := config.ParseRange(r)
		if err != nil {
			p.Join(fmt.Errorf("trust: %w", err))
		}
		t.Ranges = append(t.Ranges, prefixes...)
	}
	return t
}
