package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// directive is one that a command looks at.
type directive struct {
	service *provider
	title   string
	common  Common
	options map[string]any    // as the config has them
	server  *caddyhttp.Server // nil without a config
	proxy   proxyTrust
	dials   []string // whom the server's proxies ask
	problem error    // why the config does not load
}

// directives are those of the preset or of the config.
func (t *tryout) directives(g *given) ([]directive, error) {
	switch {
	case t.config != "" && t.directive != "":
		return nil, command.UsageError("--directive goes with --preset: a config has its own")
	case g.named && t.preset != "":
		return nil, command.UsageError("--email and --user-id go with --config or --hash-key: nothing is read by a preset then")
	case g.named && t.config == "" && t.hashKey == "":
		return nil, command.UsageError("give --hash-key, or --config with the config that the logs are of")
	case !g.named && (t.preset == "") == (t.config == ""):
		return nil, command.UsageError("give either --preset or --config")
	}
	var all []directive
	if t.config == "" {
		p, err := namedProvider(t.directive)
		if err != nil {
			return nil, err
		}
		all = []directive{ofPreset(p, t.preset, g)}
	} else {
		var err error
		if all, err = loadDirectives(t.config, t.adapter); err != nil {
			return nil, err
		}
	}
	if !g.named {
		return all, nil
	}
	return t.asGiven(all)
}

// asGiven makes directives believe who is given. Those that tell users apart by
// something else are left out.
func (t *tryout) asGiven(all []directive) (given []directive, err error) {
	for _, d := range all {
		if d.service.byID && t.userID == "" || !d.service.byID && t.email == "" {
			continue
		}
		d.common.Identity, d.common.Trust, d.common.Userinfo = givenIdentity(), nil, nil
		given = append(given, d)
	}
	if given == nil {
		return nil, command.UsageError("%s tells users apart by their e-mail address (--email), %s by their id (--user-id)", humaProvider.directive, humanProvider.directive)
	}
	return given, nil
}

// namedProvider is that of the flag --directive. Default: Huma.
func namedProvider(directive string) (*provider, error) {
	p, ok := providerOf(cmp.Or(directive, humaProvider.directive))
	if !ok {
		return nil, command.UsageError("--directive: there is no %q: write %s", directive, strings.Join(directiveNames(), " or "))
	}
	return p, nil
}

// httpConfig is what directives are looked for in.
type httpConfig struct {
	Apps struct {
		HTTP struct {
			Servers map[string]json.RawMessage `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

// loadDirectives finds the directives of a config, in the order of its servers.
// There is at least one.
func loadDirectives(file, adapter string) ([]directive, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, cmp.Or(unreadable(file), err)
	}
	if text == nil {
		return nil, command.UsageError("there is no Caddyfile in this directory: give --config")
	}
	var config httpConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	var all []directive
	servers := config.Apps.HTTP.Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		found, err := directivesOf(name, servers[name])
		if err != nil {
			return nil, fmt.Errorf("read server %s: %w", name, err)
		}
		all = append(all, found...)
	}
	if all == nil {
		return nil, fmt.Errorf("%s has no %s", cmp.Or(file, "the Caddyfile"), strings.Join(directiveNames(), " and no "))
	}
	return all, nil
}

// unreadable is why a file cannot be read, by its kind, which Caddy's own error
// does not have; nil if that is not the reason.
func unreadable(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	info, err := os.Stat(file)
	if err == nil && (info.Mode().IsRegular() || info.IsDir()) { // a pipe is read once
		_, err = os.ReadFile(file)
	}
	return err
}

// ofPreset is a directive with a preset and what it mostly is trusted with.
// Without a preset it has none of that.
func ofPreset(p *provider, preset string, g *given) directive {
	if preset == "" {
		return directive{service: p, title: p.directive}
	}
	d := directive{service: p, title: p.directive + " with `identity " + preset + "`", dials: []string{"the auth server"}}
	d.common.Identity = &Identity{Preset: preset}
	row, known := identity.FindPreset(preset)
	switch {
	case !known:
	case row.Sources.Email.From == "":
		d.common.Identity.Verify = new(Verify) // whose problems say what is missing
	case !row.NeedsTrust():
	case len(g.answer) > 0:
		d.title += " and `trust forward_auth`"
		d.common.Trust = &Trust{Mode: trustForwardAuth}
	default:
		d.title += fmt.Sprintf(" and `trust proxies %s`", g.peer)
		d.common.Trust = &Trust{Mode: trustProxies, Ranges: []string{g.peer.String()}}
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
			d := directive{service: p, server: &server, proxy: proxy, options: maps.Clone(handler)}
			delete(d.options, "handler")
			d.title = fmt.Sprintf("%s %d of %s (%s)", p.directive, len(all)+1, name, strings.Join(server.Listen, " "))
			h, err := d.newHandler()
			d.common, d.problem = *h.shared(), err
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

// newHandler reads the options as Caddy does: a field that there is not is an
// error. There is a handler also with an error.
func (d *directive) newHandler() (rehearsed, error) {
	h := d.service.newHandler()
	text, err := json.Marshal(d.options)
	if err != nil {
		return h, err
	}
	return h, caddy.StrictUnmarshalJSON(text, h)
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
