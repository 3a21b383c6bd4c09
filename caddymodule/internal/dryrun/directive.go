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
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// Directive is a token directive of a config, as the commands load it.
type Directive struct {
	Service       *endpoint.Service
	Title         string // name of the directive in the output
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

// httpConfig is the part of the JSON config that contains the HTTP servers.
type httpConfig struct {
	Apps struct {
		HTTP struct {
			Servers map[string]json.RawMessage `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

// Load reads a config file and returns its token directives, sorted by the name of their
// server. It returns an error if there are none. An empty file stands for the Caddyfile
// in the current directory.
func Load(file, adapter string) ([]Directive, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, cmp.Or(readError(file), err)
	}
	if text == nil {
		return nil, command.UsageError("no Caddyfile in the current directory; set --config")
	}
	var config httpConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	var all []Directive
	servers := config.Apps.HTTP.Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		found, err := serverDirectives(name, servers[name])
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

// readError returns the error of reading file, or nil if the file can be read. It is an
// *fs.PathError, whose kind Caddy's own error does not have.
func readError(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	info, err := os.Stat(file)
	if err == nil && (info.Mode().IsRegular() || info.IsDir()) { // a pipe can be read only once
		_, err = os.ReadFile(file)
	}
	return err
}

// serverDirectives returns the token directives in the config of a server, at any depth.
func serverDirectives(name string, raw json.RawMessage) ([]Directive, error) {
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
	var upstreams []string
	walk(tree, func(handler map[string]any) {
		module, _ := handler["handler"].(string)
		if module == "reverse_proxy" {
			upstreams = append(upstreams, upstreamAddrs(handler)...)
		}
		if service, ok := endpoint.ServiceOf(module); ok {
			d := Directive{Service: service, Server: &server, Proxy: proxy, Options: maps.Clone(handler)}
			delete(d.Options, "handler")
			d.Title = fmt.Sprintf("%s %d of %s (%s)", service.Directive, len(all)+1, name, strings.Join(server.Listen, " "))
			h, err := d.NewHandler()
			d.Common, d.Problem = *common(h), err
			all = append(all, d)
		}
	})
	for i := range all {
		all[i].UpstreamAddrs = upstreams
	}
	return all, nil
}

// walk calls f for every handler in v, a part of a JSON config, in order.
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

// upstreamAddrs returns the addresses of the upstreams of a reverse_proxy.
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

// proxyTrust is the option trusted_proxies of a server. Only a static list of ranges can
// be evaluated without running the server.
type proxyTrust struct {
	Set     bool // the server has the option
	Unknown bool // its source is not a static list of ranges
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
		prefixes, _ := config.ParseRange(r) // Caddy reports invalid ranges
		p.ranges = append(p.ranges, prefixes...)
	}
	return p
}

// Trusts reports whether a peer is a trusted proxy of the server. If the ranges are
// unknown, it returns true.
func (p proxyTrust) Trusts(peer netip.Addr) bool {
	return p.Unknown || slices.ContainsFunc(p.ranges, func(r netip.Prefix) bool { return r.Contains(peer.Unmap()) })
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
