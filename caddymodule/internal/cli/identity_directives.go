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
func (r *identityRun) directives(in *requestInput) ([]dryrun.Directive, error) {
	switch {
	case r.fromConfig() && r.directive != "":
		return nil, command.UsageError("--directive cannot be combined with --config or --address, which contains the directives")
	case in.userOnly && r.preset != "":
		return nil, command.UsageError("--email and --user-id cannot be combined with --preset: use --config or --hash-key")
	case in.userOnly && !r.fromConfig() && r.hashKey == "":
		return nil, command.UsageError("--email and --user-id require --hash-key, or --config or --address with the config of the server that wrote the logs")
	case !in.userOnly && (r.preset == "") != r.fromConfig():
		return nil, command.UsageError("set either --preset, --config or --address")
	}
	if err := checkPreset(r.preset); err != nil {
		return nil, err
	}
	var all []dryrun.Directive
	if !r.fromConfig() {
		p, err := dryrun.ServiceByName(r.directive)
		if err != nil {
			return nil, err
		}
		all = []dryrun.Directive{presetDirective(p, r.preset, in)}
	} else {
		c, err := dryrun.Load(r.source)
		if err != nil {
			return nil, err
		}
		all = c.Directives
	}
	if !in.userOnly {
		return all, nil
	}
	return r.withUser(all)
}

// withUser returns the directives with the user of --email and --user-id instead of their
// own identity options. It omits directives that distinguish users by the value whose
// flag is not set.
func (r *identityRun) withUser(all []dryrun.Directive) (selected []dryrun.Directive, err error) {
	for _, d := range all {
		if d.Service.ByID && r.userID == "" || !d.Service.ByID && r.email == "" {
			continue
		}
		d.Common.Identity, d.Common.Trust, d.Common.Userinfo = dryrun.PlaceholderIdentity(), nil, nil
		selected = append(selected, d)
	}
	if selected == nil {
		return nil, command.UsageError("%s identifies users by email address (--email), %s by ID (--user-id)", endpoint.Huma.Directive, endpoint.HumanAPI.Directive)
	}
	return selected, nil
}

// presetDirective returns a directive with a preset and, if the preset needs it, a trust
// option: with --response `trust forward_auth`, else `trust proxies` for the address of
// --peer. A preset that reads only signed assertions gets an empty verify, whose errors
// name the options that it requires. If preset is empty, the directive has no options.
func presetDirective(service *endpoint.Service, preset string, in *requestInput) dryrun.Directive {
	if preset == "" {
		return dryrun.Directive{Service: service, Name: service.Directive}
	}
	d := dryrun.Directive{Service: service, Name: service.Directive + " with `identity " + preset + "`", UpstreamAddrs: []string{"the auth server"}}
	d.Common.Identity = &config.Identity{Preset: preset}
	row, known := presets.Find(preset)
	switch {
	case !known:
	case row.Sources.Email.From == "":
		d.Common.Identity.Verify = new(config.Verify)
	case !row.NeedsTrust():
	case len(in.response) > 0:
		d.Name += " and `trust forward_auth`"
		d.Common.Trust = &config.Trust{Mode: config.TrustForwardAuth}
	default:
		d.Name += fmt.Sprintf(" and `trust proxies %s`", in.peer)
		d.Common.Trust = &config.Trust{Mode: config.TrustProxies, Ranges: []string{in.peer.String()}}
	}
	return d
}
