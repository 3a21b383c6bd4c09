package routecheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// conditions says how the matchers behave whose result depends on more than the host and
// the path of a request, such as header or remote_ip.
type conditions int

const (
	asWritten   conditions = iota // for a GET without special headers from a public address
	alwaysMatch                   // they are removed
	neverMatch                    // their routes are removed
)

// unconditional are the matchers that depend on the host and the path only, or on files.
var unconditional = []string{"host", "path", "path_regexp", "file", "not", "vars", "vars_regexp"}

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

// stubApp returns a copy of the HTTP app in which nothing listens, calls a service or
// reads a file. names are the names of the token directives, which are numbered in the
// order of routes.WalkJSON. hidden are the numbers of those that are in the routes of
// third-party handlers, which are removed.
func stubApp(app map[string]any, names []string, c conditions) (text json.RawMessage, hidden []int, err error) {
	if text, err = json.Marshal(app); err != nil {
		return nil, nil, err
	}
	var stub map[string]any
	if err := json.Unmarshal(text, &stub); err != nil {
		return nil, nil, err
	}
	isDirective := func(handler map[string]any) bool {
		name, _ := handler["handler"].(string)
		return slices.Contains(names, name)
	}
	id := 0
	err = routes.WalkJSON(stub, func(_ routes.Place, handler map[string]any) {
		if isDirective(handler) {
			handler[idKey] = float64(id)
			id++
		}
	})
	if err != nil {
		return nil, nil, err
	}
	servers, _ := stub["servers"].(map[string]any)
	for _, server := range servers {
		server, _ := server.(map[string]any)
		maps.DeleteFunc(server, func(key string, _ any) bool { return !slices.Contains(serverFields, key) })
		server["automatic_https"] = map[string]any{"disable": true}
		replaceMatchers(server, c)
	}
	maps.DeleteFunc(stub, func(key string, _ any) bool {
		return !slices.Contains([]string{"servers", "http_port", "https_port"}, key)
	})
	err = routes.WalkJSON(stub, func(_ routes.Place, handler map[string]any) {
		if isDirective(handler) {
			replaceHandler(handler, roleDirective)
			return
		}
		hidden = append(hidden, stubHandlerOf(handler)...)
	})
	if err != nil {
		return nil, nil, err
	}
	text, err = json.Marshal(stub)
	return text, hidden, err
}

// stubHandlerOf replaces a handler that must not run in the command. It returns the
// numbers of the directives that it removes with a third-party handler.
func stubHandlerOf(handler map[string]any) (hidden []int) {
	name, _ := handler["handler"].(string)
	role, known := roles[name]
	switch {
	case name == "reverse_proxy":
		stubProxy(handler)
	case slices.Contains(kept, name):
	case known:
		replaceHandler(handler, role)
	default:
		hidden = directivesIn(handler)
		replaceHandler(handler, roleUnknown)
	}
	return hidden
}

// directivesIn returns the numbers of the directives in v, a part of the config.
func directivesIn(v any) (ids []int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			ids = append(ids, directivesIn(e)...)
		}
	case map[string]any:
		if id, ok := v[idKey].(float64); ok {
			ids = append(ids, int(id))
		}
		for _, e := range v {
			ids = append(ids, directivesIn(e)...)
		}
	}
	return ids
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

// stubProxy replaces what a reverse_proxy connects to.
func stubProxy(handler map[string]any) {
	for _, key := range []string{"health_checks", "load_balancing", "circuit_breaker", "stream_timeout"} {
		delete(handler, key)
	}
	if handler["dynamic_upstreams"] != nil {
		delete(handler, "dynamic_upstreams")
		handler["upstreams"] = []any{map[string]any{"dial": "dynamic-upstreams:80"}}
	}
	handler["transport"] = map[string]any{"protocol": stubName, "auth": isAuthServer(handler)}
}

// isAuthServer reports whether a reverse_proxy continues with the routes of the site
// after a 2xx response, as forward_auth does.
func isAuthServer(proxy map[string]any) bool {
	responses, _ := proxy["handle_response"].([]any)
	for _, r := range responses {
		r, _ := r.(map[string]any)
		match, _ := r["match"].(map[string]any)
		codes, _ := match["status_code"].([]any)
		for _, code := range codes {
			if n, ok := code.(float64); ok && (n == 2 || n >= 200 && n < 300) && !responds(r) {
				return true
			}
		}
	}
	return false
}

// responds reports whether a handle_response writes a response instead of continuing.
func responds(response map[string]any) bool {
	text := fmt.Sprint(response)
	return strings.Contains(text, "handler:copy_response ") || strings.Contains(text, "handler:copy_response]") || strings.Contains(text, "handler:static_response")
}

// replaceMatchers changes the matchers in v, a part of the config, that must not run in
// the command.
func replaceMatchers(v any, c conditions) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			replaceMatchers(e, c)
		}
	case map[string]any:
		if sets, ok := v["match"].([]any); ok && v["handler"] == nil {
			v["match"] = matcherSets(sets, c)
			if len(sets) > 0 && len(v["match"].([]any)) == 0 {
				v["handle"] = []any{} // no set can match
				delete(v, "match")
			}
		}
		for _, e := range v {
			replaceMatchers(e, c)
		}
	}
}

// matcherSets returns the matcher sets of a route with the conditions applied.
func matcherSets(sets []any, c conditions) []any {
	all := []any{}
	for _, set := range sets {
		set, ok := set.(map[string]any)
		if !ok {
			continue
		}
		possible := true
		for name := range maps.Clone(set) {
			conditional := !slices.Contains(unconditional, name)
			switch {
			case name == "file":
				if file, ok := set["file"].(map[string]any); ok {
					file["fs"] = stubName
				}
			case name == "not":
				if inner, ok := set["not"].([]any); ok && isConditional(inner) && c != asWritten {
					delete(set, "not")
					possible = possible && c == alwaysMatch
				}
			case conditional && (c == alwaysMatch || !isCaddys("http.matchers."+name)):
				delete(set, name)
			case conditional && c == neverMatch:
				possible = false
			}
		}
		if possible {
			all = append(all, set)
		}
	}
	return all
}

// isConditional reports whether one of the matcher sets has a matcher that is not in
// unconditional.
func isConditional(sets []any) bool {
	return slices.ContainsFunc(sets, func(set any) bool {
		matchers, _ := set.(map[string]any)
		for name := range matchers {
			if !slices.Contains(unconditional, name) {
				return true
			}
		}
		return false
	})
}

// isCaddys reports whether a module is one of Caddy's own.
func isCaddys(id string) bool {
	info, err := caddy.GetModule(id)
	if err != nil {
		return false
	}
	t := reflect.TypeOf(info.New())
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return strings.HasPrefix(t.PkgPath(), "github.com/caddyserver/caddy/v2/")
}
