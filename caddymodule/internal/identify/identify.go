// Package identify makes an identity.Identifier of the options identity, trust and
// userinfo.
package identify

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userinfo"
)

// Options is what identifying takes from around the config, which is
// something else for a running server than for a command.
type Options struct {
	// byID says that users are told apart by their id.
	ByID bool
	// arrives reports whether the server passes a request header of that
	// canonical name on.
	ForwardsHeader func(name string) bool
	// keys returns the keys of a key server.
	Keys func(assertion.Source) (*assertion.Keys, error)
	// maxWaiting is how many requests may wait for the application.
	MaxWaiting int
	// timeout is how long a request may wait in all; 0: not limited.
	Timeout time.Duration
	// notAnswered is told why the application did not say who is asking.
	OnUserinfoError func(error)
}

// New reads identity and trust, or userinfo.
func New(c *config.Common, around Options, p *option.Errors) *identity.Identifier {
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

func requestIdentifier(i *config.Identity, trust identity.Trust, around Options, p *option.Errors) *identity.Identifier {
	c := identity.Config{
		ByID:          around.ByID,
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
		HeaderArrives: around.ForwardsHeader,
	}
	var ok bool
	if c.NameEncoding, ok = names.ParseEncoding(i.NameEncoding); !ok {
		p.Addf("name_encoding", "it is '%s': it must be %s", i.NameEncoding, strings.Join(config.NameEncodings, " or "))
	}
	if i.Verify != nil {
		if v := newVerifier(i.Verify, c.Preset, around, p); v != nil {
			c.Verifier = v
		}
	}
	identifier, err := identity.New(c)
	p.Join(err)
	return identifier
}

// userinfoTimeout returns how long the application may take: as long as is
// configured, and never longer than a request may wait.
func (around Options) userinfoTimeout(configured time.Duration) time.Duration {
	if configured == 0 {
		configured = userinfo.DefaultTimeout
	}
	if around.Timeout > 0 {
		return min(configured, around.Timeout)
	}
	return configured
}

// written expands the path of a source. What stands before it is evaluated for
// each request.
func written(p *option.Errors, name, source string) string {
	s := presets.ParseSource(source)
	if s.Paths == nil {
		return source
	}
	return s.From + " " + p.Text(name, s.Paths[0])
}

// newVerifier reads verify. It returns nil if there is a problem.
func newVerifier(v *config.Verify, preset string, around Options, p *option.Errors) *assertion.Verifier {
	if row, _ := presets.Find(preset); preset != "" && row.Signed.Email.From == "" {
		return nil // identity.New says that there is no such preset or assertion
	}
	full, err := presets.Verify{
		JWKS:     p.Text("jwks", v.JWKS),
		Issuer:   p.Text("issuer", v.Issuer),
		Audience: p.Texts("audience", v.Audience),
		Signers:  p.Texts("signer", v.Signer),
	}.Complete(preset)
	if err != nil {
		p.Join(err)
		return nil
	}
	keys, err := around.Keys(assertion.Source{URL: full.JWKS, ByID: full.KeyByID})
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
	p.Join(err)
	return verifier
}

func userinfoIdentifier(u *config.Userinfo, around Options, p *option.Errors) *identity.Identifier {
	c := identity.UserinfoConfig{
		ByID:      around.ByID,
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
		MaxWaiting:     around.MaxWaiting,
		OnError:        around.OnUserinfoError,
	})
	p.Join(err)
	if err == nil {
		c.Asker, c.Forwards = client, client.Forwards()
	}
	identifier, err := identity.NewUserinfo(c)
	p.Join(err)
	return identifier
}

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
		p.Addf("trust", "it is '%s': it must be %s or %s", c.Mode, config.TrustForwardAuth, config.TrustProxies)
	}
	t.Upstream = p.Text("trust", c.Upstream)
	for _, r := range p.Texts("trust", c.Ranges) {
		prefixes, err := config.ParseRange(r)
		if err != nil {
			p.Join(fmt.Errorf("trust: %w", err))
		}
		t.Ranges = append(t.Ranges, prefixes...)
	}
	return t
}
