package identify

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// HeaderFilter returns a function that reports whether at least one HTTP server of the
// config passes a request header on to its handlers. The function expects a canonical
// header name. HeaderFilter considers all servers, because a handler does not know its
// server while it is provisioned. If the config has no HTTP server, the function assumes
// one with default settings.
func HeaderFilter(ctx caddy.Context) func(name string) bool {
	var servers []*caddyhttp.Server
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			servers = slices.AppendSeq(servers, maps.Values(app.Servers))
		}
	}
	if servers == nil {
		servers = []*caddyhttp.Server{{}} // a server with Caddy's defaults
	}
	return func(name string) bool {
		return slices.ContainsFunc(servers, func(srv *caddyhttp.Server) bool { return ForwardsHeader(srv, name) })
	}
}

// ForwardsHeader reports whether a server passes a request header on to its handlers.
// name must be canonical. Caddy drops headers with an underscore or a dot in their name
// unless the server lists them. If the server lists one, Caddy drops the header with the
// same name with hyphens instead. This repeats code that Caddy does not export (v2.11.9,
// modules/caddyhttp/server.go).
func ForwardsHeader(srv *caddyhttp.Server, name string) bool {
	underscore, dot := strings.Contains(name, "_"), strings.Contains(name, ".")
	switch {
	case underscore && dot: // an entry with an asterisk does not match it
		return matchesHeaderList(srv.ExpectedUnderscoreHeaders, "", name, false) || matchesHeaderList(srv.ExpectedDotHeaders, "", name, false)
	case underscore:
		return matchesHeaderList(srv.ExpectedUnderscoreHeaders, "", name, true)
	case dot:
		return matchesHeaderList(srv.ExpectedDotHeaders, "", name, true)
	}
	return !matchesHeaderList(srv.ExpectedUnderscoreHeaders, "_", name, true) && !matchesHeaderList(srv.ExpectedDotHeaders, ".", name, true)
}

// matchesHeaderList reports whether a list matches a header name. The entries are header
// names in any case and, if prefixes is true, prefixes that end with an asterisk. If
// separator is not empty, it is replaced by a hyphen in each entry.
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
