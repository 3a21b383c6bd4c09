package dryrun

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
	"github.com/caddy-huma/caddy-huma/internal/command"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Directive is a token directive of a config, as the commands load it.
type Directive struct {
	Service       *endpoint.Service
	Name          string // by host and path, unique in the config; see routes.Place.Name
	File          string // path of the Caddyfile, or "stdin"; empty if the config is JSON
	Line          int    // in File
	Place         routes.Place
	Common        config.Common
	Options       map[string]any    // as in the JSON config
	Server        *caddyhttp.Server // nil without a config
	Proxy         proxyTrust
	UpstreamAddrs []string // upstreams of all reverse_proxy handlers of the server
	Problem       error    // error of reading the options; nil if they are valid
}

// ServiceByName returns the service of the flag --directive. Default: Huma. It returns a
// usage error if there is no such directive.
func ServiceByName(directive string) (*endpoint.Service, error) {
	s, ok := endpoint.ServiceOf(cmp.Or(directive, endpoint.Huma.Directive))
	if !ok {
		return nil, command.UsageError("--directive: unknown directive %q%s; use %s", directive, suggest.DidYouMean(directive, endpoint.DirectiveNames()), strings.Join(endpoint.DirectiveNames(), " or "))
	}
	return s, nil
}

// Title returns the name of the directive with the line of the Caddyfile, if it is known,
// such as "huma_token app.example.com/private/huma-token (Caddyfile:12)".
func (d *Directive) Title() string {
	if d.File == "" {
		return d.Name
	}
	return fmt.Sprintf("%s (%s:%d)", d.Name, filepath.Base(d.File), d.Line)
}

// directives returns the token directives in the JSON config of an HTTP app. It deletes
// the member locationKey of each one.
func directives(app map[string]any) ([]Directive, error) {
	type upstreams struct{ addrs []string }
	servers := make(map[string]*caddyhttp.Server)
	proxies := make(map[string]*upstreams)
	for name, v := range objectOf(app["servers"]) {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		servers[name], proxies[name] = new(caddyhttp.Server), new(upstreams)
		if err := json.Unmarshal(text, servers[name]); err != nil {
			return nil, fmt.Errorf("read server %s: %w", name, err)
		}
	}
	var all []Directive
	names := make(routes.Names)
	err := routes.WalkJSON(app, func(p routes.Place, handler map[string]any) {
		module, _ := handler["handler"].(string)
		if module == "reverse_proxy" {
			proxies[p.Server].addrs = append(proxies[p.Server].addrs, routes.Upstreams(handler)...)
		}
		service, ok := endpoint.ServiceOf(module)
		if !ok {
			return
		}
		server := servers[p.Server]
		d := Directive{
			Service: service, Name: names.Unique(p.Name(service.Directive)), Place: p,
			Server: server, Proxy: proxyTrustOf(server.TrustedProxiesRaw),
		}
		d.File, d.Line = endpoint.TakeLocation(handler)
		d.Options = maps.Clone(handler)
		delete(d.Options, "handler")
		h, err := d.NewHandler()
		d.Common, d.Problem = *common(h), err
		all = append(all, d)
	})
	for i := range all {
		all[i].UpstreamAddrs = proxies[all[i].Place.Server].addrs
	}
	return all, err
}

// objectOf returns v if it is a JSON object, and nil otherwise.
func objectOf(v any) map[string]any {
	object, _ := v.(map[string]any)
	return object
}

// NewHandler returns a handler with the options of the directive. Like Caddy, it returns
// an error for an unknown field. The handler is not nil even if there is an error.
func (d *Directive) NewHandler() (Handler, error) {
	h := newHandler(d.Service)
	text, err := json.Marshal(d.Options)
	if err != nil {
		return h, err
	}
	return h, caddy.StrictUnmarshalJSON(text, h)
}

// proxyTrust is the option trusted_proxies of a server. Only a static list of ranges can
// be evaluated without running the server.
type proxyTrust struct {
	Set     bool // the server has the option
	Unknown bool // its source is not a static list of ranges
	Ranges  []netip.Prefix
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
		prefixes, _ := config.ParseRange(r) // Caddy reports invalid ranges
		p.Ranges = append(p.Ranges, prefixes...)
	}
	return p
}

// Trusts reports whether a peer is a trusted proxy of the server. If the ranges are
// unknown, it returns true.
func (p proxyTrust) Trusts(peer netip.Addr) bool {
	return p.Unknown || slices.ContainsFunc(p.Ranges, func(r netip.Prefix) bool { return r.Contains(peer.Unmap()) })
}

// SignsUp reports whether the directive signs up users that the service does not know.
func (d *Directive) SignsUp() bool {
	registration, _ := d.Options["registration"].(map[string]any)
	return registration["disabled"] != true
}

// ForwardsHeader reports whether the server passes a request header to its handlers. name
// is in canonical form.
func (d *Directive) ForwardsHeader(name string) bool {
	if d.Server == nil {
		return identify.ForwardsHeader(new(caddyhttp.Server), name)
	}
	return identify.ForwardsHeader(d.Server, name)
}
