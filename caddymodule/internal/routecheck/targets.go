package routecheck

import (
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// target is a URL at which a directive is checked.
type target struct {
	URL
	pattern string // of which Path is an example
	prefix  string // of the routes around the directive, if they match only with it
}

// maxTargets is the maximum number of URLs at which a directive is checked.
const maxTargets = 20

// targets returns the URLs of a directive: each host with each path of its matchers.
func targets(p routes.Place, defaultPath string) (all []target) {
	hosts, paths := p.Hosts, p.Paths
	if hosts == nil {
		hosts = []string{"localhost"}
	}
	if paths == nil {
		paths = []string{defaultPath}
	}
	for _, host := range hosts {
		for _, pattern := range paths {
			path := strings.ReplaceAll(pattern, "*", "x")
			prefix := ""
			for _, around := range p.Around {
				if start, ok := strings.CutSuffix(around, "/*"); ok && !strings.HasPrefix(path, start+"/") {
					prefix += start
				}
			}
			all = append(all, target{URL{strings.ReplaceAll(host, "*", "x"), path}, pattern, prefix})
		}
	}
	return all[:min(len(all), maxTargets)]
}

// invokers returns the places at which a named route is invoked, with the path of p.
func invokers(app map[string]any, p routes.Place) (places []routes.Place) {
	_ = routes.WalkJSON(app, func(at routes.Place, handler map[string]any) {
		if handler["handler"] == "invoke" && handler["name"] == p.Named && at.Server == p.Server {
			places = append(places, at.Within(p.Hosts, p.Paths))
		}
	})
	return places
}

// LoginPages returns the URLs of an auth server's own pages that authentication stops: a
// user could never sign in. The pages are the routes of a server that proxy to one of
// these auth servers.
func (s *Site) LoginPages(app map[string]any, server string, authServers []string) (stopped []URL) {
	_ = routes.WalkJSON(app, func(p routes.Place, handler map[string]any) {
		if handler["handler"] != "reverse_proxy" || p.Server != server || p.Errors || p.Named != "" || isAuthServer(handler) {
			return
		}
		upstreams, _ := handler["upstreams"].([]any)
		for _, u := range upstreams {
			u, _ := u.(map[string]any)
			dial, _ := u["dial"].(string)
			if !slices.Contains(authServers, dial) {
				continue
			}
			for _, t := range targets(p, "/") {
				if r := s.variants[0].request(server, t.Host, t.prefix+t.Path, unauthorized); r.authCalled && !slices.Contains(r.proxied, dial) {
					stopped = append(stopped, URL{t.Host, t.prefix + t.pattern})
				}
			}
		}
	})
	return stopped
}
