package routes

import (
	"cmp"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Walk calls visit for each handler of a provisioned app: the servers in the order of
// their names, and in each the routes, the named routes and the error routes. It finds the
// handlers in the routes of Caddy's own handlers, but not in those of third-party
// modules. A named route is visited once, however often it is invoked.
func Walk(app *caddyhttp.App, visit func(Place, caddyhttp.MiddlewareHandler)) {
	w := walker(visit)
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		p := newPlace(name, server.Listen, cmp.Or(app.HTTPPort, caddyhttp.DefaultHTTPPort), cmp.Or(app.HTTPSPort, caddyhttp.DefaultHTTPSPort))
		w.routes(p, server.Routes)
		for _, name := range slices.Sorted(maps.Keys(server.NamedRoutes)) {
			named := p
			named.Named = name
			w.routes(named, caddyhttp.RouteList{*server.NamedRoutes[name]})
		}
		w.errorRoutes(p, server.Errors)
	}
}

// walker is the function that Walk calls for each handler.
type walker func(Place, caddyhttp.MiddlewareHandler)

func (w walker) routes(p Place, list caddyhttp.RouteList) {
	for _, route := range list {
		within := p.Within(matchers(route.MatcherSets))
		for _, h := range route.Handlers {
			w.handler(within, h)
		}
	}
}

func (w walker) errorRoutes(p Place, errors *caddyhttp.HTTPErrorConfig) {
	if errors != nil {
		p.Errors = true
		w.routes(p, errors.Routes)
	}
}

// handler visits h and the handlers in its routes.
func (w walker) handler(p Place, h caddyhttp.MiddlewareHandler) {
	w(p, h)
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		w.routes(p, h.Routes)
		w.errorRoutes(p, h.Errors)
	case *reverseproxy.Handler:
		w.responses(p, h.HandleResponse)
	case *intercept.Intercept:
		w.responses(p, h.HandleResponse)
	}
}

func (w walker) responses(p Place, list []caddyhttp.ResponseHandler) {
	p.Reply = true
	for _, r := range list {
		w.routes(p, r.Routes)
	}
}

// matchers returns the values of the host and path matchers of a route.
func matchers(sets caddyhttp.MatcherSets) (hosts, paths []string) {
	for _, set := range sets {
		for _, m := range set {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			case *caddyhttp.MatchPath:
				paths = append(paths, *m...)
			}
		}
	}
	return hosts, paths
}
