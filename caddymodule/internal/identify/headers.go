package identify

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// HeaderFilter reports whether some server of this config passes a request
// header of that name on to its handlers. Which server this handler belongs to
// cannot be known while it is set up.
func HeaderFilter(ctx caddy.Context) func(name string) bool {
	var servers []*caddyhttp.Server
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			servers = slices.AppendSeq(servers, maps.Values(app.Servers))
		}
	}
	if servers == nil {
		servers = []*caddyhttp.Server{{}} // as Caddy is by itself
	}
	return func(name string) bool {
		return slices.ContainsFunc(servers, func(srv *caddyhttp.Server) bool { return ForwardsHeader(srv, name) })
	}
}

// ForwardsHeader reports whether a server passes a request header of that canonical
// name on. Caddy drops those with an underscore or a dot in their names unless
// they are listed, and if they are, the same names with hyphens (v2.11.9,
// modules/caddyhttp/server.go, which keeps that to itself).
func ForwardsHeader(srv *caddyhttp.Server, name string) bool {
	underscore, dot := strings.Contains(name, "_"), strings.Contains(name, ".")
	switch {
	case underscore && dot: // an asterisk is not enough for it
		return matchesHeaderList(srv.ExpectedUnderscoreHeaders, "", name, false) || matchesHeaderList(srv.ExpectedDotHeaders, "", name, false)
	case underscore:
		return matchesHeaderList(srv.ExpectedUnderscoreHeaders, "", name, true)
	case dot:
		return matchesHeaderList(srv.ExpectedDotHeaders, "", name, true)
	}
	return !matchesHeaderList(srv.ExpectedUnderscoreHeaders, "_", name, true) && !matchesHeaderList(srv.ExpectedDotHeaders, ".", name, true)
}

// matchesHeaderList reports whether a header's name is in a list: names in any case, and
// prefixes with an asterisk behind them if they count. A separator is read as a
// hyphen.
func matchesHeaderList(list []string, separator, name string, prefixes bool) bool {
	for _, entry := range list {
		prefix, isPrefix := strings.CutSuffix(entry, "*")
		if separator != "" {
			prefix = strings.ReplaceAll(prefix, separator, "-")
		}
		prefix = http.CanonicalHeaderKey(prefix)
		if prefix == name && !isPrefix || isPrefix && prefixes && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
