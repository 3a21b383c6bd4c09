package config

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

func (c *Common) parseUserinfo(d *caddyfile.Dispenser) error {
	c.Userinfo = new(Userinfo)
	u := c.Userinfo
	return option.WithValue(option.Text(&u.URL), option.Options{
		"forward_headers": option.List(&u.ForwardHeaders),
		"email":           option.Text(&u.Email),
		"user_id":         option.Text(&u.UserID),
		"name":            option.Text(&u.Name),
		"first_name":      option.Text(&u.FirstName),
		"last_name":       option.Text(&u.LastName),
		"verified":        option.Text(&u.Verified),
		"domains":         option.List(&u.Domains),
		"timeout":         option.Duration(&u.Timeout, MinDuration),
		"ca":              option.Text(&u.CA),
		"verify":          u.parseVerify,
		"cache":           option.Duration(&u.Cache, MinDuration),
	})(d)
}

func (u *Userinfo) parseVerify(d *caddyfile.Dispenser) error {
	u.Verify = new(UserinfoVerify)
	v := u.Verify
	return option.Block(option.Options{
		"token":    option.Text(&v.Token),
		"jwks":     option.Text(&v.JWKS),
		"issuer":   option.Text(&v.Issuer),
		"audience": option.List(&v.Audience),
		"require":  requirements(&v.Require),
		"ca":       option.Text(&v.CA),
	})(d)
}
