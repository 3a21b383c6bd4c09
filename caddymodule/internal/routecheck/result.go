package routecheck

import (
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// URL is where a request is sent.
type URL struct{ Host, Path string }

// Result is the result of the requests to a directive at one URL.
type Result struct {
	URL URL
	// Name is the URL with the host as in the config, such as *.example.com, or with the
	// listener address if there is no host.
	Name string

	// Skipped is why the directive was not checked. Empty: it was.
	Skipped string

	// Reached is true if a request reaches the directive, for a plain GET or with other
	// results of the matchers that depend on more than host and path.
	Reached bool
	// Other is the number of the token directive that gets the request instead, or -1.
	Other int
	// Responder is the handler that responds instead, or empty.
	Responder string
	// Redirects is true if the response is a redirect.
	Redirects bool
	// Path is the path of the request when the handler responded, after rewrites.
	Path string
	// Stripped is true if a prefix of the path is removed before the directive, which
	// matches the path as it was.
	Stripped bool
	// Nested is true if there are path matchers around that of the directive.
	Nested bool
	// Conditional is true if the request reaches the directive, or the authentication in
	// front of it, only with other results of the matchers than for a plain GET, or if the
	// result of a matcher is unknown.
	Conditional bool

	// AuthServers are the addresses of the auth servers that were called before the
	// directive.
	AuthServers []string
	// Placeholders are those in identity.OrderPlaceholders, at the directive.
	Placeholders identity.Placeholders
	// NotInvoked is true if the directive is in a named route that is never invoked.
	NotInvoked bool

	// Caches are the caches of responses that the request passes.
	Caches []string
	// Unknown are the third-party handlers that the request passes. They are assumed to
	// call the next handler.
	Unknown []string

	// Unauthorized and Redirected are the status of the response if the authentication
	// in front responds to the request with 401, or with a redirect. 0: there is none,
	// or no handler responds.
	Unauthorized, Redirected int
}

// Check sends requests to each URL at which a directive stands. number is the number of
// the directive, p its place. If several requests reach the directive, because matchers
// depend on more than host and path, the result is that of the first one whose
// placeholders accept reports to be right, or else of the first one.
func (s *Site) Check(number int, p routes.Place, defaultPath string, accept func(identity.Placeholders) bool) []Result {
	switch {
	case !s.found[number]:
		return []Result{{Skipped: "the directive is in the routes of a third-party handler"}}
	case p.Errors:
		return []Result{{Skipped: "the directive is in handle_errors"}}
	}
	at := []invocation{{place: p, around: s.around[number]}}
	if p.Named != "" {
		if at = s.invokers(at[0], nil); at == nil {
			return []Result{{Other: -1, NotInvoked: true}}
		}
	}
	var all []Result
	for _, i := range at {
		c := check{s, number, i.place.Server, i.around, accept}
		for _, t := range targets(i.place, defaultPath) {
			r := c.target(t)
			r.Name, r.Nested = t.host+r.URL.Path, i.place.Around != nil
			if !r.Reached && i.place.Reply && r.Skipped == "" {
				r.Skipped = "the directive is in handle_response, and the response of the upstream is unknown"
			}
			all = append(all, r)
		}
	}
	return all
}

// check is the check of a directive at a place.
type check struct {
	*Site
	number int
	server string
	around []int // numbers of the routes around the directive
	accept func(identity.Placeholders) bool
}

// target sends requests to the URL of a target, and to others until one reaches the
// directive.
func (c *check) target(t target) Result {
	switch {
	case strings.Contains(t.Host+t.Path, "{"):
		return Result{URL: t.URL, Other: -1, Skipped: "the host or the path contains a placeholder"}
	case strings.ContainsAny(t.Path, `[\`):
		return Result{URL: t.URL, Other: -1, Skipped: "the path is a pattern"}
	}
	r := c.url(t.URL)
	if r.Reached {
		return r
	}
	for _, path := range t.others {
		if other := c.url(URL{t.Host, path}); other.Reached {
			return other
		}
	}
	r.Stripped = c.stripped(r)
	return r
}

// stripped reports whether a prefix of the path of a request that did not reach the
// directive is removed before the directive: a path that has the prefix twice leads to it.
func (c *check) stripped(r Result) bool {
	prefix, found := strings.CutSuffix(r.URL.Path, r.Path)
	return found && prefix != "" && strings.HasPrefix(r.Path, "/") && c.url(URL{r.URL.Host, prefix + r.URL.Path}).Reached
}

// url sends requests to a URL. If none reaches the directive, the result is that of the
// last one, in which only the matchers around the directive and those of host and path
// match.
func (c *check) url(u URL) (r Result) {
	for _, conditions := range []conditions{asWritten, othersAsWritten, othersMatch, othersNeverMatch} {
		t := &trace{conditions: conditions, around: c.around}
		c.request(c.server, u, t)
		i := slices.IndexFunc(t.reached, func(a arrival) bool { return a.directive == c.number })
		switch {
		case i < 0 && !r.Reached:
			r = missed(u, t)
		case i < 0:
		case c.accept(t.reached[i].placeholders):
			return c.arrived(u, t, i)
		case !r.Reached:
			r = c.arrived(u, t, i)
		}
	}
	return r
}

// missed returns the result of a request that did not reach the directive.
func missed(u URL, t *trace) Result {
	r := Result{URL: u, Other: -1, Responder: t.responder, Redirects: t.status >= 300 && t.status < 400, Path: t.path, Unknown: t.unknown, Caches: t.caches}
	switch {
	case t.err != nil:
		r.Skipped = t.err.Error()
	case len(t.reached) > 0:
		r.Other = t.reached[0].directive
	}
	return r
}

// arrived returns the result of a request that reached the directive, and sends those of
// users who are not signed in.
func (c *check) arrived(u URL, t *trace, arrival int) Result {
	r := Result{
		URL: u, Reached: true, Other: -1, AuthServers: t.authServers, Placeholders: t.reached[arrival].placeholders,
		Caches: t.caches, Unknown: t.unknown, Conditional: t.conditions != asWritten || t.assumed,
	}
	if t.authCalled {
		status := func(auth authResult) int {
			again := &trace{auth: auth, conditions: t.conditions, around: c.around}
			c.request(c.server, u, again)
			return again.status
		}
		r.Unauthorized, r.Redirected = status(unauthorized), status(redirected)
	}
	return r
}
