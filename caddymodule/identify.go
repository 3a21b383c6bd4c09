package caddymodule

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userinfo"
)

// The modes of trust.
const (
	trustForwardAuth = "forward_auth"
	trustProxies     = "proxies"
)

// nameEncodings are the words of the option name_encoding.
var nameEncodings = []string{"auto", "utf8", "latin1", "rfc2047", "percent", "base64"}

// surroundings is what identifying takes from around the config, which is
// something else for a running server than for a command.
type surroundings struct {
	// byID says that users are told apart by their id.
	byID bool
	// arrives reports whether the server passes a request header of that
	// canonical name on.
	arrives func(name string) bool
	// keys returns the keys of a key server.
	keys func(assertion.Source) (*assertion.Keys, error)
	// maxWaiting is how many requests may wait for the application.
	maxWaiting int
	// timeout is how long a request may wait in all; 0: not limited.
	timeout time.Duration
	// notAnswered is told why the application did not say who is asking.
	notAnswered func(error)
}

// newIdentifier reads identity and trust, or userinfo.
func newIdentifier(c *Common, around surroundings, p *option.Problems) *identity.Identifier {
	switch {
	case c.Identity != nil && c.Userinfo != nil:
		p.Addf("userinfo", "it stands beside identity: one of them says who is asking, so leave the other out")
		return nil
	case c.Userinfo != nil:
		if c.Trust != nil {
			p.Addf("trust", "it stands beside userinfo, which reads no header as an identity: leave it out")
		}
		return userinfoIdentifier(c.Userinfo, around, p)
	case c.Identity != nil:
		return requestIdentifier(c.Identity, readTrust(c.Trust, p), around, p)
	}
	p.Addf("identity", "it is missing: say who is asking, for example `identity authelia` with `trust forward_auth`, or `userinfo http://localhost:3000/api/me { email user.email }` on several lines")
	return nil
}

func requestIdentifier(i *Identity, trust identity.Trust, around surroundings, p *option.Problems) *identity.Identifier {
	c := identity.Config{
		ByID:          around.byID,
		Preset:        p.Text("identity", i.Preset),
		Email:         written(p, "email", i.Email),
		UserID:        written(p, "user_id", i.UserID),
		Name:          written(p, "name", i.Name),
		FirstName:     written(p, "first_name", i.FirstName),
		LastName:      written(p, "last_name", i.LastName),
		Verified:      written(p, "verified", i.Verified),
		Domains:       p.Texts("domains", i.Domains),
		Trust:         trust,
		Verify:        i.Verify != nil,
		HeaderArrives: around.arrives,
	}
	var ok bool
	if c.NameEncoding, ok = names.ParseEncoding(i.NameEncoding); !ok {
		p.Addf("name_encoding", "it is '%s': it must be %s", i.NameEncoding, strings.Join(nameEncodings, " or "))
	}
	if i.Verify != nil {
		if v := newVerifier(i.Verify, c.Preset, around, p); v != nil {
			c.Verifier = v
		}
	}
	identifier, err := identity.New(c)
	p.AddAll(err)
	return identifier
}

// userinfoTimeout returns how long the application may take: as long as is
// configured, and never longer than a request may wait.
func (around surroundings) userinfoTimeout(configured time.Duration) time.Duration {
	if configured == 0 {
		configured = userinfo.DefaultTimeout
	}
	if around.timeout > 0 {
		return min(configured, around.timeout)
	}
	return configured
}

// written expands the path of a source. What stands before it is evaluated for
// each request.
func written(p *option.Problems, name, source string) string {
	s := identity.Written(source)
	if s.Paths == nil {
		return source
	}
	return s.From + " " + p.Text(name, s.Paths[0])
}

// newVerifier reads verify. It returns nil if there is a problem.
func newVerifier(v *Verify, preset string, around surroundings, p *option.Problems) *assertion.Verifier {
	if row, _ := identity.FindPreset(preset); preset != "" && row.Signed.Email.From == "" {
		return nil // identity.New says that there is no such preset or assertion
	}
	full, err := identity.Verify{
		JWKS:     p.Text("jwks", v.JWKS),
		Issuer:   p.Text("issuer", v.Issuer),
		Audience: p.Texts("audience", v.Audience),
		Signers:  p.Texts("signer", v.Signer),
	}.Complete(preset)
	if err != nil {
		p.AddAll(err)
		return nil
	}
	keys, err := around.keys(assertion.Source{URL: full.JWKS, ByID: full.KeyByID})
	if err != nil {
		p.Add("jwks", err)
		return nil
	}
	verifier, err := assertion.New(assertion.Config{
		Keys:       keys,
		Issuer:     full.Issuer,
		Audience:   full.Audience,
		Signers:    full.Signers,
		Algorithms: full.Algorithms,
	})
	p.AddAll(err)
	return verifier
}

func userinfoIdentifier(u *Userinfo, around surroundings, p *option.Problems) *identity.Identifier {
	c := identity.UserinfoConfig{
		ByID:      around.byID,
		Email:     p.Text("email", u.Email),
		UserID:    p.Text("user_id", u.UserID),
		Name:      p.Text("name", u.Name),
		FirstName: p.Text("first_name", u.FirstName),
		LastName:  p.Text("last_name", u.LastName),
		Verified:  p.Text("verified", u.Verified),
		Domains:   p.Texts("domains", u.Domains),
	}
	client, err := userinfo.New(userinfo.Config{
		URL:            p.Text("userinfo", u.URL),
		ForwardHeaders: p.Texts("forward_headers", u.ForwardHeaders),
		Timeout:        around.userinfoTimeout(time.Duration(u.Timeout)),
		MaxWaiting:     around.maxWaiting,
		OnError:        around.notAnswered,
	})
	p.AddAll(err)
	if err == nil {
		c.Asker, c.Forwards = client, client.Forwards()
	}
	identifier, err := identity.NewUserinfo(c)
	p.AddAll(err)
	return identifier
}

func readTrust(c *Trust, p *option.Problems) (t identity.Trust) {
	if c == nil {
		return t
	}
	switch c.Mode {
	case trustForwardAuth:
		t.Mode = identity.TrustForwardAuth
	case trustProxies:
		t.Mode = identity.TrustProxies
	default:
		p.Addf("trust", "it is '%s': it must be %s or %s", c.Mode, trustForwardAuth, trustProxies)
	}
	t.Upstream = p.Text("trust", c.Upstream)
	for _, r := range p.Texts("trust", c.Ranges) {
		prefixes, err := parseRange(r)
		if err != nil {
			p.AddAll(fmt.Errorf("trust: %w", err))
		}
		t.Ranges = append(t.Ranges, prefixes...)
	}
	return t
}

// parseRange reads a CIDR range, an address, or private_ranges.
func parseRange(s string) ([]netip.Prefix, error) {
	ranges := []string{s}
	if s == "private_ranges" {
		ranges = caddyhttp.PrivateRangesCIDR()
	}
	var prefixes []netip.Prefix
	for _, r := range ranges {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(r)
		if err != nil {
			return nil, fmt.Errorf("'%s' is no CIDR range, address or private_ranges", s)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// keyServers are the public keys of key servers, kept over reloads.
var keyServers = caddy.NewUsagePool() // assertion.Source → *pooledKeys

// pooledKeys are keys in the pool. There is nothing to close.
type pooledKeys struct{ *assertion.Keys }

// Destruct implements caddy.Destructor.
func (pooledKeys) Destruct() error { return nil }

// keysFromPool takes the keys of a key server from the pool. They are fetched
// once this config runs, not while it is only looked at.
func keysFromPool(ctx caddy.Context, r *releases) func(assertion.Source) (*assertion.Keys, error) {
	return func(source assertion.Source) (*assertion.Keys, error) {
		keys, err := acquire[pooledKeys](r, keyServers, fmt.Sprintf("%t %s", source.ByID, source.URL), func() (caddy.Destructor, error) {
			keys, err := assertion.NewKeys(source, logKeys)
			return pooledKeys{keys}, err
		})
		if err != nil {
			return nil, err
		}
		return keys.Keys, whenStarted(ctx, keys.Prefetch)
	}
}

// whenStarted calls f once the config runs.
func whenStarted(ctx caddy.Context, f func()) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", started(f))
}

// started is a function that the start of a config calls.
type started func()

// Handle implements caddyevents.Handler.
func (f started) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// String implements fmt.Stringer, for Caddy's debug log: a function has no JSON.
func (started) String() string { return "caddy_huma" }

// Interface guards
var (
	_ caddy.Destructor    = pooledKeys{}
	_ caddyevents.Handler = started(nil)
)
