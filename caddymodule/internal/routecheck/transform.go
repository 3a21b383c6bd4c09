package routecheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// kept are the handlers of Caddy that run as they are.
var kept = []string{
	"subroute", "invoke", "rewrite", "headers", "vars", "map", "request_body", "intercept", "copy_response", "copy_response_headers",
	"error", "static_response", "encode", "log_append", "reverse_proxy",
}

// roles are the roles of the handlers that are replaced, by module name.
var roles = map[string]string{
	"file_server": roleResponder, "metrics": roleResponder,
	"authentication": roleAuthentication,
	"templates":      rolePass, "tracing": rolePass, "push": rolePass, "acme_server": rolePass, "log_name": rolePass,
	"cache": roleCache, "souin": roleCache, "http_cache": roleCache,
}

// serverFields are the fields of a server that the check needs.
var serverFields = []string{"listen", "routes", "errors", "named_routes"}

// idKey is the name of the member that holds the index of a directive while the app is
// changed.
const idKey = "@id"

// invokeKey is the same for the index of an invocation.
const invokeKey = "@invoke"

// stub is a copy of an HTTP app in which nothing listens, calls a service or reads a file.
type stub struct {
	app   map[string]any
	names []string     // of the token directives
	found map[int]bool // numbers of the directives, except those in the routes of third-party handlers, which are removed

	routes      int           // number of the routes so far
	around      map[int][]int // numbers of the routes around each directive
	invocations []invocation  // in the order of routes.WalkJSON
	proxies     []proxy       // likewise
}

// invocation is a handler invoke.
type invocation struct {
	place  routes.Place
	name   string // of the named route
	around []int  // numbers of the routes around it
}

// proxy is a reverse_proxy that is no auth server.
type proxy struct {
	place routes.Place
	dial  []string // addresses of its upstreams
}

// newStub returns the stub of an app. The directives are numbered in the order of
// routes.WalkJSON.
func newStub(app map[string]any, names []string) (*stub, error) {
	s := &stub{names: names, found: make(map[int]bool), around: make(map[int][]int)}
	text, err := json.Marshal(app)
	if err != nil {
		return nil, err
	}
	// The placeholders {file.*} would read files.
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("{file."), []byte("{"+stubName+".file.")), &s.app); err != nil {
		return nil, err
	}
	if err := s.index(); err != nil {
		return nil, err
	}
	servers, _ := s.app["servers"].(map[string]any)
	for name, server := range servers {
		server, ok := server.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("server %s is not an object", name)
		}
		maps.DeleteFunc(server, func(key string, _ any) bool { return !slices.Contains(serverFields, key) })
		server["automatic_https"] = map[string]any{"disable": true}
		s.replaceMatchers(server, nil)
	}
	maps.DeleteFunc(s.app, func(key string, _ any) bool {
		return !slices.Contains([]string{"servers", "http_port", "https_port"}, key)
	})
	err = routes.WalkJSON(s.app, func(_ routes.Place, handler map[string]any) {
		if s.isDirective(handler) {
			s.found[int(handler[idKey].(float64))] = true
			replaceHandler(handler, roleDirective)
			return
		}
		stubHandlerOf(handler)
	})
	return s, err
}

func (s *stub) isDirective(handler map[string]any) bool {
	name, _ := handler["handler"].(string)
	return slices.Contains(s.names, name)
}

// index numbers the directives and the invocations, and lists the invocations and the
// proxies.
func (s *stub) index() error {
	directives := 0
	return routes.WalkJSON(s.app, func(p routes.Place, handler map[string]any) {
		switch {
		case s.isDirective(handler):
			handler[idKey] = float64(directives)
			directives++
		case handler["handler"] == "invoke":
			name, _ := handler["name"].(string)
			handler[invokeKey] = float64(len(s.invocations))
			s.invocations = append(s.invocations, invocation{place: p, name: name})
		case handler["handler"] == "reverse_proxy" && !isAuthServer(handler):
			s.proxies = append(s.proxies, proxy{p, routes.Upstreams(handler)})
		}
	})
}

// stubHandlerOf replaces a handler that must not run in the command. The routes in it are
// removed, unless the handler is kept.
func stubHandlerOf(handler map[string]any) {
	name, _ := handler["handler"].(string)
	role, known := roles[name]
	switch {
	case name == "reverse_proxy":
		stubProxy(handler)
	case slices.Contains(kept, name):
		delete(handler, invokeKey)
	case known:
		replaceHandler(handler, role)
	default:
		replaceHandler(handler, roleUnknown)
	}
}

// replaceHandler replaces a handler with a stubHandler. A file_server with pass_thru calls
// the next handler, because the requested file does not exist.
func replaceHandler(handler map[string]any, role string) {
	name, id := handler["handler"], handler[idKey]
	if handler["pass_thru"] == true {
		role = rolePass
	}
	clear(handler)
	handler["handler"], handler["role"], handler["name"] = stubName, role, name
	if id != nil {
		handler["id"] = id
	}
}

// DynamicUpstreams replaces the address of dynamic upstreams.
const DynamicUpstreams = "dynamic-upstreams:80"

// stubProxy replaces what a reverse_proxy connects to.
func stubProxy(handler map[string]any) {
	for _, key := range []string{"health_checks", "circuit_breaker", "stream_timeout"} {
		delete(handler, key)
	}
	handler["load_balancing"] = map[string]any{"selection_policy": map[string]any{"policy": "first"}}
	if handler["dynamic_upstreams"] != nil {
		delete(handler, "dynamic_upstreams")
		handler["upstreams"] = []any{map[string]any{"dial": DynamicUpstreams}}
	}
	handler["transport"] = map[string]any{"protocol": stubName, "auth": isAuthServer(handler)}
}

// isAuthServer reports whether a reverse_proxy continues with routes of the config after a
// 2xx response, as forward_auth does.
func isAuthServer(proxy map[string]any) bool {
	responses, _ := proxy["handle_response"].([]any)
	return slices.ContainsFunc(responses, func(r any) bool {
		response, _ := r.(map[string]any)
		match, _ := response["match"].(map[string]any)
		codes, _ := match["status_code"].([]any)
		return match == nil || slices.ContainsFunc(codes, func(code any) bool {
			n, ok := code.(float64)
			return ok && (n == 2 || n >= 200 && n < 300)
		})
	})
}
