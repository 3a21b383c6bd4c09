package routecheck

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// target is a URL at which a directive is checked.
type target struct {
	URL
	host    string // of which Host is an example, or the listener address
	pattern string // of which Path is an example

	// others are further paths that may lead to the directive: Path with the prefixes that
	// the routes around it demand and remove, as handle_path does, and the paths of these
	// routes, which may rewrite the path.
	others []string
}

// maxTargets is the maximum number of URLs at which a directive is checked.
const maxTargets = 20

// anyName replaces an asterisk in a host or a path, and the host if there is none.
const anyName = "any-name"

// targets returns the URLs of a directive: each host with each path of its matchers.
func targets(p routes.Place, defaultPath string) (all []target) {
	hosts, paths := p.Hosts, p.Paths
	if hosts == nil {
		hosts = []string{""}
	}
	if paths == nil {
		paths = []string{defaultPath}
	}
	for _, host := range hosts {
		for _, pattern := range paths {
			path := example(pattern)
			u := URL{cmp.Or(strings.ReplaceAll(host, "*", anyName), anyName), path}
			t := target{u, cmp.Or(host, p.Listen), pattern, []string{fullPath(path, p.Around)}}
			for _, around := range slices.Backward(p.Around) {
				t.others = append(t.others, example(around))
			}
			all = append(all, t)
		}
	}
	return all[:min(len(all), maxTargets)]
}

// example returns a path that a pattern of the matcher path matches.
func example(pattern string) string {
	path := strings.ReplaceAll(strings.ReplaceAll(pattern, "*", anyName), "?", "x")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

// fullPath returns a path with the prefixes of the routes around it.
func fullPath(path string, around []string) string {
	for _, pattern := range slices.Backward(around) {
		if prefix, ok := strings.CutSuffix(pattern, "/*"); ok && !strings.HasPrefix(path, prefix+"/") {
			path = example(prefix) + path
		}
	}
	return path
}

// invokers returns the places at which the named route of a directive is invoked, with
// its path, and the routes around them. seen are the named routes on the way.
func (s *Site) invokers(directive invocation, seen []string) (all []invocation) {
	named := directive.place.Named
	for _, i := range s.invocations {
		if i.name != named || i.place.Server != directive.place.Server || slices.Contains(seen, named) {
			continue
		}
		i.place = i.place.Within(directive.place.Hosts, directive.place.Paths)
		i.around = slices.Concat(i.around, directive.around)
		if i.place.Named == "" {
			all = append(all, i)
		} else {
			all = append(all, s.invokers(i, append(seen, named))...)
		}
	}
	return all
}

// LoginPages returns the paths of an auth server's own pages on the host of a result that
// authentication stops: a user could never sign in. The pages are the routes of a server
// that proxy to one of the auth servers.
func (s *Site) LoginPages(server string, r Result) (stopped []string) {
	for _, page := range s.proxies {
		if page.place.Server != server || page.place.Errors || page.place.Named != "" {
			continue
		}
		for _, dial := range page.dial {
			if !slices.Contains(r.AuthServers, dial) || !hostsMatch(page.place.Hosts, r.URL.Host) {
				continue
			}
			for _, t := range targets(routes.Place{Paths: page.place.Paths, Around: page.place.Around}, "/") {
				got, full := &trace{auth: unauthorized}, t.others[0]
				s.request(server, URL{r.URL.Host, full}, got)
				if got.authCalled && !slices.Contains(got.proxied, dial) {
					stopped = append(stopped, strings.TrimSuffix(full, t.Path)+t.pattern)
				}
			}
		}
	}
	return stopped
}

// hostsMatch reports whether the hosts of a host matcher contain a host, which may be an
// example of one of them. Nil matches every host.
func hostsMatch(hosts []string, host string) bool {
	_, domain, _ := strings.Cut(host, ".")
	return hosts == nil || slices.ContainsFunc(hosts, func(h string) bool {
		rest, wildcard := strings.CutPrefix(h, "*.")
		return strings.EqualFold(h, host) || wildcard && strings.EqualFold(rest, domain)
	})
}
