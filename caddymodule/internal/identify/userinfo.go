package identify

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userinfo"
)

// userinfoIdentifier returns an Identifier that calls the application (option userinfo).
func userinfoIdentifier(u *config.Userinfo, opts Options, p *option.Errors) *identity.Identifier {
	c := identity.UserinfoConfig{
		ByID:      opts.ByID,
		Email:     p.Text("email", u.Email),
		UserID:    p.Text("user_id", u.UserID),
		Name:      p.Text("name", u.Name),
		FirstName: p.Text("first_name", u.FirstName),
		LastName:  p.Text("last_name", u.LastName),
		Verified:  p.Text("verified", u.Verified),
		Domains:   p.Texts("domains", u.Domains),
	}
	transport, err := transportFor(p.Text("ca", u.CA))
	p.Add("ca", err)
	client, err := userinfo.New(userinfo.Config{
		URL:            p.Text("userinfo", u.URL),
		ForwardHeaders: p.Texts("forward_headers", u.ForwardHeaders),
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
