package dryrun

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

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// Directive is one that a command looks at.
type Directive struct {
	Service       *endpoint.Service
	Title         string
	Common        config.Common
	Options       map[string]any    // as the config has them
	Server        *caddyhttp.Server // nil without a config
	Proxy         proxyTrust
	UpstreamAddrs []string // whom the server's proxies ask
	Problem       error    // why the config does not load
}

// NamedProvider is that of the flag --directive. Default: Huma.
func NamedProvider(directive string) (*endpoint.Service, error) {
	p, ok := endpoint.ServiceOf(cmp.Or(directive, endpoint.Huma.Directive))
	if !ok {
		return nil, command.UsageError("--directive: there is no %q: write %s", directive, strings.Join(endpoint.DirectiveNames(), " or "))
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

// Load finds the directives of a config, in the order of its servers.
// There is at least one.
func Load(file, adapter string) ([]Directive, error) {
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
	var all []Directive
	servers := config.Apps.HTTP.Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		found, err := directivesOf(name, servers[name])
		if err != nil {
			return nil, fmt.Errorf("read server %s: %w", name, err)
		}
		all = append(all, found...)
	}
	if all == nil {
		return nil, fmt.Errorf("%s has no %s", cmp.Or(file, "the Caddyfile"), strings.Join(endpoint.DirectiveNames(), " and no "))
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

// directivesOf finds the handlers in a server's config, however deep.
func directivesOf(name string, raw json.RawMessage) ([]Directive, error) {
	var server caddyhttp.Server
	var tree any
	if err := json.Unmarshal(raw, &server); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	proxy := proxyTrustOf(server.TrustedProxiesRaw)
	var all []Directive
	var dials []string
	walk(tree, func(handler map[string]any) {
		kind, _ := handler["handler"].(string)
		if kind == "reverse_proxy" {
			dials = append(dials, upstreamAddrs(handler)...)
		}
		if p, ok := endpoint.ServiceOf(kind); ok {
			d := Directive{Service: p, Server: &server, Proxy: proxy, Options: maps.Clone(handler)}
			delete(d.Options, "handler")
			d.Title = fmt.Sprintf("%s %d of %s (%s)", p.Directive, len(all)+1, name, strings.Join(server.Listen, " "))
			h, err := d.NewHandler()
			d.Common, d.Problem = *common(h), err
			all = append(all, d)
		}
	})
	for i := range all {
		all[i].UpstreamAddrs = dials
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

// NewHandler reads the options as Caddy does: a field that there is not is an
// error. There is a handler also with an error.
func (d *Directive) NewHandler() (Handler, error) {
	h := newHandler(d.Service)
	text, err := json.Marshal(d.Options)
	if err != nil {
		return h, err
	}
	return h, caddy.StrictUnmarshalJSON(text, h)
}

// upstreamAddrs are the addresses of a reverse_proxy's upstreams.
func upstreamAddrs(handler map[string]any) (dials []string) {
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
	Set     bool
	Unknown bool // another source than a list of ranges
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
	p.Set = true
	if json.Unmarshal(raw, &static) != nil || static.Source != "static" {
		p.Unknown = true
		return p
	}
	for _, r := range static.Ranges {
		prefixes, _ := config.ParseRange(r) // Caddy says what is wrong with it
		p.ranges = append(p.ranges, prefixes...)
	}
	return p
}

// Trusts reports whether a peer is a trusted proxy of the server.
func (p proxyTrust) Trusts(peer netip.Addr) bool {
	return p.Unknown || slices.ContainsFunc(p.ranges, func(r netip.Prefix) bool { return r.Contains(peer.Unmap()) })
}

// Registers reports whether the directive signs users up.
func (d *Directive) Registers() bool {
	registration, _ := d.Options["registration"].(map[string]any)
	return registration["disabled"] != true
}

// ForwardsHeader reports whether the server passes a request header on.
func (d *Directive) ForwardsHeader(name string) bool {
	if d.Server == nil {
		return identify.ForwardsHeader(new(caddyhttp.Server), name)
	}
	return identify.ForwardsHeader(d.Server, name)
}
