package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routecheck"
)

// siteRoutes are the routes of the config, to which the checks of all directives send
// requests.
type siteRoutes struct {
	config *dryrun.Config
	site   *routecheck.Site
	err    error // why site is nil
}

// loadRoutes prepares the routes of a config. cancel releases them.
func loadRoutes(c *dryrun.Config) (r *siteRoutes, cancel func()) {
	r = &siteRoutes{config: c}
	r.site, cancel, r.err = routecheck.Load(c.HTTP, endpoint.DirectiveNames())
	return r, cancel
}

// checkRoutes checks whether requests reach the directive, after the authentication that
// its identity is read from.
func checkRoutes(t *target) (all []report.Entry) {
	if t.routes.err != nil {
		return []report.Entry{report.NewSkipped("not checked: the routes do not load: %v", t.routes.err)}
	}
	d := t.directive
	accept := func(p identity.Placeholders) bool { return t.orderRejection(p) == nil }
	var g groups
	found := t.routes.site.Check(t.number, d.Place, d.Service.Path, accept)
	reached := slices.ContainsFunc(found, func(r routecheck.Result) bool { return r.Reached })
	for _, r := range found {
		if reached && r.Skipped == "" && (d.Place.Named != "" || r.Redirects) && !r.Reached && r.Other < 0 {
			r.Skipped = "requests to " + r.Name + " do not reach the directive, others do"
		}
		for _, c := range t.diagnoseRoute(r) {
			g.add(c, r)
		}
	}
	return g.results()
}

// groups are results that differ only in the URL: a site may have many names.
type groups struct {
	keys  []report.Entry
	first map[report.Entry]report.Entry
	names map[report.Entry][]string // the URLs
}

func (g *groups) add(c report.Entry, r routecheck.Result) {
	if g.first == nil {
		g.first, g.names = make(map[report.Entry]report.Entry), make(map[report.Entry][]string)
	}
	key := c
	key.Detail = strings.ReplaceAll(c.Detail, r.Name, "\x00")
	if _, found := g.first[key]; !found {
		g.keys, g.first[key] = append(g.keys, key), c
	}
	if !slices.Contains(g.names[key], r.Name) {
		g.names[key] = append(g.names[key], r.Name)
	}
}

// results returns the first result of each group, with the number of the others.
func (g *groups) results() (all []report.Entry) {
	for _, key := range g.keys {
		c := g.first[key]
		if others := g.names[key][1:]; len(others) > 0 {
			c.Detail += fmt.Sprintf(" (the same at %s", others[0])
			if n := len(others) - 1; n > 0 {
				c.Detail += fmt.Sprintf(" and %d more", n)
			}
			c.Detail += ")"
		}
		all = append(all, c)
	}
	return all
}

// diagnoseRoute returns the results for the requests to one URL.
func (t *target) diagnoseRoute(r routecheck.Result) (all []report.Entry) {
	switch {
	case r.Skipped != "":
		return []report.Entry{report.NewSkipped("not checked: %s", r.Skipped)}
	case !r.Reached:
		return []report.Entry{t.notReached(r)}
	}
	for _, cache := range r.Caches {
		all = append(all, report.NewProblem("exclude the path from the handler "+cache+", for example with the matcher `not path "+r.URL.Path+"`",
			"the response of %s passes the handler %s, which is a cache and could give one user's token to another", r.Name, cache))
	}
	if rejection := t.orderRejection(r.Placeholders); rejection != nil {
		all = append(all, t.misplaced(r, rejection))
	}
	for _, page := range t.routes.site.LoginPages(t.directive.Place.Server, r) {
		all = append(all, report.NewProblem("exclude it from forward_auth: put `handle "+page+" { reverse_proxy … }` and forward_auth with the rest of the site into handle blocks",
			"forward_auth in front of %s also stops requests to %s, the auth server's own pages: users cannot sign in", r.Name, page))
	}
	if all == nil {
		all = append(all, report.NewOK("%s reaches the directive%s%s", r.Name, authenticatedBy(r), condition(r)))
	}
	all = append(all, t.unauthenticated(r)...)
	for _, handler := range r.Unknown {
		all = append(all, report.NewSkipped("not checked: whether %s, a third-party handler in front, passes requests on", handler))
	}
	return all
}

// misplaced returns the result for a directive that rejects every request, because of
// what ran before it.
func (t *target) misplaced(r routecheck.Result, rejection *identity.Rejection) report.Entry {
	switch {
	case rejection == identity.ErrNoAuthentication && len(r.Unknown) > 0:
		return report.NewSkipped("not checked: whether a third-party handler in front of %s authenticates requests", r.Name)
	case rejection == identity.ErrWrongUpstream && slices.Contains(r.AuthServers, routecheck.DynamicUpstreams):
		return report.NewSkipped("not checked: whether the dynamic upstreams in front of %s are those of the option trust forward_auth", r.Name)
	}
	return report.NewProblem(t.orderFix(rejection, r), "%s: %s", r.Name, reason(rejection))
}

// authenticatedBy returns what authenticates requests as part of a sentence, or "".
func authenticatedBy(r routecheck.Result) string {
	switch {
	case len(r.AuthServers) > 0:
		return ", after authentication by " + strings.Join(r.AuthServers, " and ")
	case r.Unauthorized != 0:
		return ", after authentication"
	}
	return ""
}

// condition returns the condition of a result as part of a sentence, or "".
func condition(r routecheck.Result) string {
	if r.Conditional {
		return ", if matchers that depend on more than host and path match"
	}
	return ""
}

// notReached returns the problem of a URL at which the directive does not get requests.
func (t *target) notReached(r routecheck.Result) report.Entry {
	name := t.directive.Service.Directive
	rewritten := r.Path != "" && r.Path != r.URL.Path
	removed := rewritten && strings.HasSuffix(r.URL.Path, r.Path) && !r.Stripped // elsewhere, as by handle_path around the application
	switch {
	case r.NotInvoked:
		return report.NewProblem("invoke "+t.directive.Place.Named, "no site invokes the named route %s", t.directive.Place.Named)
	case r.Other >= 0:
		return report.NewProblem("give the directives different paths, or remove one of them", "%s is handled by another directive: %s", r.Name, t.routes.config.Directives[r.Other].Title())
	case r.Stripped && r.Nested:
		return report.NewProblem("write the path as it is within the block: "+name+" "+r.Path+"; or move "+name+" out of handle_path",
			"handle_path changes the path of %s to %s, which %s does not match: %s", r.Name, r.Path, name, response(r))
	case rewritten && !removed:
		return report.NewProblem("put the directive that rewrites the path, such as try_files, into a block `handle { … }` with the rest of the site",
			"the path of %s is rewritten to %s before %s: %s", r.Name, r.Path, name, response(r))
	case r.Responder != "":
		return report.NewProblem("put "+name+" before it: in a route block, write it first; otherwise remove the option `order "+name+"`, or put both into the same handle block",
			"%s responds to %s before %s", r.Responder, r.Name, name)
	}
	return report.NewProblem("correct the path of "+name+" or that of the blocks around it, so that all of them match", "no route leads from %s to %s: %s", r.Name, name, response(r))
}

// response describes the response to a request that does not reach the directive.
func response(r routecheck.Result) string {
	if r.Responder == "" {
		return "the response is empty, with status 200"
	}
	return r.Responder + " responds"
}

// reason returns the reason of a rejection without its advice.
func reason(r *identity.Rejection) string {
	text, _, _ := strings.Cut(r.Hint, ": ")
	return strings.ReplaceAll(text, "this handler", "the directive")
}

// orderRejection returns why every request is rejected that arrives with these
// placeholders, or nil.
func (t *target) orderRejection(p identity.Placeholders) *identity.Rejection {
	c := &t.directive.Common
	if c.Identity == nil || c.Identity.Verify != nil || c.Identity.AuthServer != nil || c.Userinfo != nil {
		return nil // the directive identifies users by itself
	}
	var errs option.Errors
	i := identify.New(c, identify.Options{ByID: t.directive.Service.ByID, ForwardsHeader: t.directive.ForwardsHeader}, &errs)
	if len(errs) > 0 {
		return nil // checkConfig reports them
	}
	return i.CheckOrder(p)
}

// orderFix returns the fix for a rejection by orderRejection.
func (t *target) orderFix(rejection *identity.Rejection, r routecheck.Result) string {
	name := t.directive.Service.Directive
	switch {
	case rejection == identity.ErrWrongUpstream && t.callsTrusted(r):
		return "put forward_auth directly before " + name + ": with the other upstream between them, the directive cannot read the response of the auth server"
	case rejection == identity.ErrWrongUpstream && len(r.AuthServers) > 0:
		return "trust forward_auth " + r.AuthServers[len(r.AuthServers)-1] + ", if that is the auth server"
	case rejection == identity.ErrNoAuthentication:
		return "put the authentication directive into the block of " + name + "; if there is a line `order`, order it before " + name + "; in a route block, write it first"
	}
	return "put forward_auth into the block of " + name + " (in a route block, before it), or use the option auth_server of identity, which needs no forward_auth"
}

// callsTrusted reports whether the auth server of the option trust forward_auth is called
// before the directive.
func (t *target) callsTrusted(r routecheck.Result) bool {
	trust := t.directive.Common.Trust
	return trust != nil && slices.Contains(r.AuthServers, trust.Upstream)
}

// redirecting are the presets of auth servers that respond to an unauthenticated request
// of an app (Accept: */*) with a redirect to a login page, and those that respond with
// 401, by their documentation.
var redirecting = map[string]bool{"authelia": true, "authentik": true, "oauth2_proxy": false, "vouch": false}

// unauthenticated returns warnings about the responses to apps that are not signed in.
func (t *target) unauthenticated(r routecheck.Result) (all []report.Entry) {
	const consequence = "an app that is not signed in gets a login page instead of a token or an error that it understands"
	fix := "let the endpoint respond with 401: use the option auth_server of identity, or exclude " + r.URL.Path + " from the rule that redirects"
	if r.Unauthorized >= 300 && r.Unauthorized < 400 || r.Unauthorized == 200 {
		all = append(all, report.NewWarning(fix, "if authentication fails, %s responds with status %d: %s", r.Name, r.Unauthorized, consequence))
	}
	if r.Redirected < 300 || r.Redirected >= 400 || all != nil {
		return all
	}
	preset := ""
	if t.directive.Common.Identity != nil {
		preset = t.directive.Common.Identity.Preset
	}
	switch redirects, known := redirecting[preset]; {
	case redirects:
		all = append(all, report.NewWarning(fix, "%s redirects unauthenticated requests, and Caddy passes that on: %s", preset, consequence))
	case !known:
		all = append(all, report.NewSkipped("not checked: whether %s responds with 401 or with a redirect; try `caddy huma probe https://%s`", strings.Join(r.AuthServers, ", "), r.Name))
	}
	return all
}

// checkTrustedProxies checks whether `trust proxies` without ranges has proxies to trust.
func checkTrustedProxies(t *target) []report.Entry {
	trust := t.directive.Common.Trust
	if trust == nil || trust.Mode != config.TrustProxies || len(trust.Ranges) > 0 || t.directive.Proxy.Set || t.directive.Server.TrustedProxiesUnix {
		return nil
	}
	return []report.Entry{report.NewProblem("trust proxies <ranges>, with the address of the proxy; or, in the global options, servers { trusted_proxies static <ranges> } (on three lines)",
		"`trust proxies` has no ranges, and the server has no trusted_proxies: every request is unauthenticated")}
}
