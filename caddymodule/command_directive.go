package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// directive is one that is tried.
type directive struct {
	*provider
	title string
	Common
	server  *caddyhttp.Server // nil with a preset alone
	proxy   proxyTrust
	dials   []string // whom the server's proxies ask
	problem error    // why the config does not load
}

// directives are those of the preset or of the config.
func (t *tryout) directives(g *given) ([]directive, error) {
	switch {
	case (t.preset == "") == (t.config == ""):
		return nil, errors.New("give either --preset or --config")
	case t.config == "":
		p, ok := providerOf(t.directive)
		if !ok {
			return nil, fmt.Errorf("--directive: there is no %q: write %s", t.directive, strings.Join(directiveNames(), " or "))
		}
		return []directive{ofPreset(p, t.preset, g)}, nil
	}
	text, _, _, err := caddycmd.LoadConfig(t.config, t.adapter)
	if err != nil {
		return nil, err
	}
	var config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]json.RawMessage `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	var all []directive
	servers := config.Apps.HTTP.Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		found, err := directivesOf(name, servers[name])
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if all == nil {
		return nil, fmt.Errorf("%s has no %s", t.config, strings.Join(directiveNames(), " and no "))
	}
	return all, nil
}

// ofPreset is a directive with a preset and what it mostly is trusted with.
func ofPreset(p *provider, preset string, g *given) directive {
	d := directive{provider: p, title: p.directive + " with `identity " + preset + "`", dials: []string{"the auth server"}}
	d.Identity = &Identity{Preset: preset}
	row, known := identity.FindPreset(preset)
	switch {
	case !known:
	case row.Sources.Email.From == "":
		d.Identity.Verify = new(Verify) // whose problems say what is missing
	case !row.NeedsTrust():
	case len(g.answer) > 0:
		d.title += " and `trust forward_auth`"
		d.Trust = &Trust{Mode: trustForwardAuth}
	default:
		d.title += fmt.Sprintf(" and `trust proxies %s`", g.peer)
		d.Trust = &Trust{Mode: trustProxies, Ranges: []string{g.peer.String()}}
	}
	return d
}

// directivesOf finds the handlers in a server's config, however deep.
func directivesOf(name string, raw json.RawMessage) ([]directive, error) {
	var server caddyhttp.Server
	var tree any
	if err := json.Unmarshal(raw, &server); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	proxy := proxyTrustOf(server.TrustedProxiesRaw)
	var all []directive
	var dials []string
	walk(tree, func(handler map[string]any) {
		kind, _ := handler["handler"].(string)
		if kind == "reverse_proxy" {
			dials = append(dials, dialsOf(handler)...)
		}
		if p, ok := providerOf(kind); ok {
			d := directive{provider: p, server: &server, proxy: proxy}
			d.title = fmt.Sprintf("%s %d of %s (%s)", p.directive, len(all)+1, name, strings.Join(server.Listen, " "))
			d.Common, d.problem = p.commonOf(handler)
			all = append(all, d)
		}
	})
	for i := range all {
		all[i].dials = dials
	}
	return all, nil
}

// walk calls f with every handler in a part of a config, in order.
func walk(v any, f func(handler map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			walk(e, f)
		}
	case map[string]any:
		if v["handler"] != nil {
			f(v)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(v[key], f)
		}
	}
}

// commonOf reads a handler as Caddy does: a field that there is not is an
// error.
func (p *provider) commonOf(handler map[string]any) (Common, error) {
	fields := maps.Clone(handler)
	delete(fields, "handler")
	text, err := json.Marshal(fields)
	if err != nil {
		return Common{}, err
	}
	if p == humanProvider {
		var h HumanAPIToken
		err = caddy.StrictUnmarshalJSON(text, &h)
		return h.Common, err
	}
	var h HumaToken
	err = caddy.StrictUnmarshalJSON(text, &h)
	return h.Common, err
}

// dialsOf are the addresses of a reverse_proxy's upstreams.
func dialsOf(handler map[string]any) (dials []string) {
	upstreams, _ := handler["upstreams"].([]any)
	for _, u := range upstreams {
		u, _ := u.(map[string]any)
		if dial, ok := u["dial"].(string); ok {
			dials = append(dials, dial)
		}
	}
	return dials
}

// proxyTrust is what a server's trusted_proxies says, as far as it can be
// told without running it.
type proxyTrust struct {
	set     bool
	unknown bool // another source than a list of ranges
	ranges  []netip.Prefix
}

func proxyTrustOf(raw json.RawMessage) (p proxyTrust) {
	if len(raw) == 0 {
		return p
	}
	var static struct {
		Source string   `json:"source"`
		Ranges []string `json:"ranges"`
	}
	p.set = true
	if json.Unmarshal(raw, &static) != nil || static.Source != "static" {
		p.unknown = true
		return p
	}
	for _, r := range static.Ranges {
		prefixes, _ := parseRange(r) // Caddy says what is wrong with it
		p.ranges = append(p.ranges, prefixes...)
	}
	return p
}

// trusts reports whether a peer is a trusted proxy of the server.
func (p proxyTrust) trusts(peer netip.Addr) bool {
	return p.unknown || slices.ContainsFunc(p.ranges, func(r netip.Prefix) bool { return r.Contains(peer.Unmap()) })
}
