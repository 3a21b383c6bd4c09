package cli

import (
	"fmt"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// directives returns the directives to try: those of the config, or one with the preset.
// It returns a usage error if the flags do not fit together.
func (t *identityRun) directives(g *requestInput) ([]dryrun.Directive, error) {
	switch {
	case t.config != "" && t.directive != "":
		return nil, command.UsageError("--directive goes with --preset: a config has its own")
	case g.userGiven && t.preset != "":
		return nil, command.UsageError("--email and --user-id go with --config or --hash-key: nothing is read by a preset then")
	case g.userGiven && t.config == "" && t.hashKey == "":
		return nil, command.UsageError("give --hash-key, or --config with the config that the logs are of")
	case !g.userGiven && (t.preset == "") == (t.config == ""):
		return nil, command.UsageError("give either --preset or --config")
	}
	var all []dryrun.Directive
	if t.config == "" {
		p, err := dryrun.ServiceByName(t.directive)
		if err != nil {
			return nil, err
		}
		all = []dryrun.Directive{ofPreset(p, t.preset, g)}
	} else {
		var err error
		if all, err = dryrun.Load(t.config, t.adapter); err != nil {
			return nil, err
		}
	}
	if !g.userGiven {
		return all, nil
	}
	return t.withUser(all)
}

// withUser returns the directives with the user of --email and --user-id instead of their
// own identity options. It omits directives that distinguish users by the value that is
// not given.
func (t *identityRun) withUser(all []dryrun.Directive) (given []dryrun.Directive, err error) {
	for _, d := range all {
		if d.Service.ByID && t.userID == "" || !d.Service.ByID && t.email == "" {
			continue
		}
		d.Common.Identity, d.Common.Trust, d.Common.Userinfo = dryrun.PlaceholderIdentity(), nil, nil
		given = append(given, d)
	}
	if given == nil {
		return nil, command.UsageError("%s tells users apart by their e-mail address (--email), %s by their id (--user-id)", endpoint.Huma.Directive, endpoint.HumanAPI.Directive)
	}
	return given, nil
}

// ofPreset returns a directive with a preset and, if the preset needs it, a trust option:
// with --answer `trust forward_auth`, else `trust proxies` for the address of --peer. A
// preset that reads only signed assertions gets an empty verify. If preset is empty, the
// directive has no options.
func ofPreset(p *endpoint.Service, preset string, g *requestInput) dryrun.Directive {
	if preset == "" {
		return dryrun.Directive{Service: p, Title: p.Directive}
	}
	d := dryrun.Directive{Service: p, Title: p.Directive + " with `identity " + preset + "`", UpstreamAddrs: []string{"the auth server"}}
	d.Common.Identity = &config.Identity{Preset: preset}
	row, known := presets.Find(preset)
	switch {
	case !known:
	case row.Sources.Email.From == "":
		d.Common.Identity.Verify = new(config.Verify) // its errors name the missing options
	case !row.NeedsTrust():
	case len(g.answer) > 0:
		d.Title += " and `trust forward_auth`"
		d.Common.Trust = &config.Trust{Mode: config.TrustForwardAuth}
	default:
		d.Title += fmt.Sprintf(" and `trust proxies %s`", g.peer)
		d.Common.Trust = &config.Trust{Mode: config.TrustProxies, Ranges: []string{g.peer.String()}}
	}
	return d
}
