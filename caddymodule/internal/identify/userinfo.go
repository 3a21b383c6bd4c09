package identify

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userinfo"
)

// userinfoIdentifier returns an Identifier that calls the application (option userinfo).
func userinfoIdentifier(u *config.Userinfo, opts Options, p *option.Errors) *identity.Identifier {
	c := identity.UserinfoConfig{
		ByID:           opts.ByID,
		Email:          p.Text("email", u.Email),
		UserID:         p.Text("user_id", u.UserID),
		Name:           p.Text("name", u.Name),
		FirstName:      p.Text("first_name", u.FirstName),
		LastName:       p.Text("last_name", u.LastName),
		Verified:       p.Text("verified", u.Verified),
		Domains:        p.Texts("domains", u.Domains),
		ForwardsHeader: opts.ForwardsHeader,
	}
	forward := p.Texts("forward_headers", u.ForwardHeaders)
	if u.Verify != nil {
		if u.ForwardHeaders != nil {
			p.Addf("forward_headers", "cannot be combined with verify in userinfo, which forwards the verified token alone; remove one of them")
		}
		forward = []string{"Authorization"}
		c.Verify, c.Token = true, u.Verify.Token
		if v := newVerifier(u.Verify.Options(), "", opts, p); v != nil {
			c.Verifier = v
		}
	}
	c.Cache = userinfoCache(u, p)
	transport, err := transportFor(p.Text("ca", u.CA))
	p.Add("ca", err)
	client, err := userinfo.New(subrequest.Config{
		URL:            p.Text("userinfo", u.URL),
		ForwardHeaders: forward,
		Timeout:        opts.callTimeout(time.Duration(u.Timeout)),
		MaxWaiting:     opts.MaxWaiting,
		Transport:      transport,
		OnError:        opts.OnUserinfoError,
	})
	p.Join(err)
	if err == nil {
		c.Client, c.Forwards = client, client.Forwards()
	}
	identifier, err := identity.NewUserinfo(c)
	p.Join(err)
	return identifier
}

// userinfoCache returns the cache of the application's responses, or nil if there is
// none. It adds errors in the option cache to p.
func userinfoCache(u *config.Userinfo, p *option.Errors) identity.UserinfoCache {
	ttl := time.Duration(u.Cache)
	switch {
	case ttl == 0:
		return nil
	case u.Verify == nil:
		p.Addf("cache", "in userinfo requires verify in userinfo: without a verified token, every request calls the application; add the block verify, or remove cache")
		return nil
	case ttl < 0 || ttl > userinfo.MaxTTL:
		p.Addf("cache", "in userinfo must be at most %s and not negative, because a session that has ended is accepted for so long", userinfo.MaxTTL)
		return nil
	}
	return userinfo.NewCache(ttl)
}
