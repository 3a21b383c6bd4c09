package routes

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// WalkJSON is Walk for the JSON config of an app. visit may change the handler. A handler
// of a third-party module is searched for routes, too. It returns an error if app is not
// the JSON of an HTTP app.
func WalkJSON(app map[string]any, visit func(p Place, handler map[string]any)) error {
	w := jsonWalker(visit)
	var head struct {
		HTTPPort  int `json:"http_port"`
		HTTPSPort int `json:"https_port"`
		Servers   map[string]struct {
			Listen []string `json:"listen"`
		} `json:"servers"`
	}
	text, err := json.Marshal(app)
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil {
		return err
	}
	servers, _ := app["servers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server, ok := servers[name].(map[string]any)
		if !ok {
			continue
		}
		p := newPlace(name, head.Servers[name].Listen, cmp.Or(head.HTTPPort, caddyhttp.DefaultHTTPPort), cmp.Or(head.HTTPSPort, caddyhttp.DefaultHTTPSPort))
		w.walk(p, server["routes"])
		namedRoutes, _ := server["named_routes"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(namedRoutes)) {
			named := p
			named.Named = name
			w.walk(named, namedRoutes[name])
		}
		p.Errors = true
		w.walk(p, server["errors"])
	}
	return nil
}

// jsonWalker is the function that WalkJSON calls for each handler.
type jsonWalker func(Place, map[string]any)

// walk visits the handlers in v, a part of the config: in an object first those in the
// member routes, then those in the others in the order of their names.
func (w jsonWalker) walk(p Place, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			w.walk(p, e)
		}
	case map[string]any:
		if v["handler"] != nil {
			w(p, v)
		} else if match, ok := v["match"].([]any); ok {
			p = p.Within(jsonMatchers(match))
		}
		w.walk(p, v["routes"])
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key == "routes" {
				continue
			}
			member := p
			member.Errors = p.Errors || key == "errors"
			member.Reply = p.Reply || key == "handle_response"
			w.walk(member, v[key])
		}
	}
}

// jsonMatchers returns the values of the host and path matchers of a route, in the form
// that provisioning gives them.
func jsonMatchers(sets []any) (hosts, paths []string) {
	for _, set := range sets {
		set, _ := set.(map[string]any)
		host, path := caddyhttp.MatchHost(texts(set["host"])), caddyhttp.MatchPath(texts(set["path"]))
		_ = host.Provision(caddy.Context{}) // Caddy reports invalid hosts when the config is loaded
		_ = path.Provision(caddy.Context{})
		hosts, paths = append(hosts, host...), append(paths, path...)
	}
	return hosts, paths
}

// texts returns the strings in v, a JSON array.
func texts(v any) (list []string) {
	array, _ := v.([]any)
	for _, e := range array {
		if text, ok := e.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

// Upstreams returns the addresses of the upstreams of a reverse_proxy.
func Upstreams(handler map[string]any) (dial []string) {
	list, _ := handler["upstreams"].([]any)
	for _, u := range list {
		u, _ := u.(map[string]any)
		if text, ok := u["dial"].(string); ok {
			dial = append(dial, text)
		}
	}
	return dial
}
