package config

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

func (c *Common) parseIdentity(d *caddyfile.Dispenser) error {
	c.Identity = new(Identity)
	i := c.Identity
	table := option.Options{
		"email":         source(&i.Email),
		"user_id":       source(&i.UserID),
		"name":          source(&i.Name),
		"first_name":    source(&i.FirstName),
		"last_name":     source(&i.LastName),
		"verified":      source(&i.Verified),
		"domains":       option.List(&i.Domains),
		"name_encoding": option.Enum(&i.NameEncoding, NameEncodings...),
		"auth_server":   i.parseAuthServer,
		"verify":        i.parseVerify,
	}
	switch {
	case option.IsBare(d):
		return option.Empty(d, "identity")
	case d.CountRemainingArgs() == 0:
		i.addVerifyOptions(table)
		return option.Block(table)(d)
	}
	preset := func(d *caddyfile.Dispenser) error {
		err := option.Text(&i.Preset)(d)
		i.addVerifyOptions(table)
		return err
	}
	return option.WithValue(preset, table)(d)
}

// addVerifyOptions adds the options of the block verify to those of the block identity.
// With the preset of an identity provider they are allowed there, and the block verify is
// not; otherwise it is the other way round. With a preset that is not known, such as a
// placeholder, both are allowed: the error follows when the config is loaded.
func (i *Identity) addVerifyOptions(table option.Options) {
	preset, known := presets.Find(i.Preset)
	v := new(Verify)
	for name, parse := range v.options() {
		if preset.Provider == nil && (known || i.Preset == "") {
			continue
		}
		table[name] = func(d *caddyfile.Dispenser) error {
			i.Verify = v
			return parse(d)
		}
	}
	table[option.Unknown] = func(d *caddyfile.Dispenser) error {
		if v.options()[d.Val()] == nil {
			return nil
		}
		return misplaced(d)
	}
	if preset.Provider != nil {
		table["verify"] = func(d *caddyfile.Dispenser) error {
			return d.Errf("option 'verify' is not valid with the preset %s, which always verifies: write the options of the block directly in the block of 'identity'", preset.Name)
		}
	}
}

// misplaced returns the error for an option of the block verify that stands in the block
// identity, although the preset is not that of an identity provider.
func misplaced(d *caddyfile.Dispenser) error {
	name := d.Val()
	if name == "domain" {
		return d.Errf("option 'domain' is valid with the presets %s only; for the allowed email domains, write 'domains'", strings.Join(presets.HavingParameter(name), ", "))
	}
	if with := presets.HavingParameter(name); name != "issuer" && with != nil {
		return d.Errf("option '%s' is valid with these presets only: %s", name, strings.Join(with, ", "))
	}
	return d.Errf("option '%s' belongs in the block 'verify': write it as verify { %s … } on several lines", name, name)
}

// source returns an option that takes a header name or a placeholder, and
// optionally the paths within the document that the header or placeholder holds.
func source(target *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if d.CountRemainingArgs() < 2 {
			return option.Text(target)(d)
		}
		name, args := d.Val(), d.RemainingArgs()
		if strings.Contains(args[0], " ") || slices.Contains(args, "") {
			return d.Errf("option '%s' takes a header name or a placeholder, and optionally paths, such as: X-Userinfo user.email", name)
		}
		*target = args[0]
		for _, path := range args[1:] {
			*target += " " + presets.EscapePath(path)
		}
		return nil
	}
}

func (i *Identity) parseVerify(d *caddyfile.Dispenser) error {
	if i.Verify == nil {
		i.Verify = new(Verify)
	}
	return option.Block(i.Verify.options())(d)
}

// options returns the parsers of the options of the block verify.
func (v *Verify) options() option.Options {
	return option.Options{
		"domain":    option.Text(&v.Domain),
		"project":   option.Text(&v.Project),
		"tenant":    option.Text(&v.Tenant),
		"user_pool": option.Text(&v.UserPool),
		"jwks":      option.Text(&v.JWKS),
		"issuer":    option.Text(&v.Issuer),
		"audience":  option.List(&v.Audience),
		"require":   requirements(&v.Require),
		"signer":    option.List(&v.Signer),
		"ca":        option.Text(&v.CA),
	}
}

// requirements returns the parser of the option require, which can be repeated.
func requirements(target *[]Requirement) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("option 'require' takes a claim and one or more values: is the environment variable set?")
		}
		*target = append(*target, Requirement{Claim: args[0], Values: args[1:]})
		return nil
	}
}

func (i *Identity) parseAuthServer(d *caddyfile.Dispenser) error {
	i.AuthServer = new(AuthServer)
	a := i.AuthServer
	return option.WithValue(option.Text(&a.URL), option.Options{
		"forward_headers": option.List(&a.ForwardHeaders),
		"timeout":         option.Duration(&a.Timeout, MinDuration),
		"ca":              option.Text(&a.CA),
	})(d)
}
