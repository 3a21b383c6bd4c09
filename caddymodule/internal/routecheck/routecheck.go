// Package routecheck sends requests through the routes of a config, without starting it,
// and reports what keeps them from its token directives. In a copy of the config, the
// token directives are replaced by handlers that record the request, and everything that
// would listen, make a call or read a file by stubs. So the result is what Caddy's own
// routing does, not a reading of the config.
package routecheck

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/routes"
)

// authResult is how authentication in front of the directives treats a request.
type authResult int

const (
	signedIn     authResult = iota // it lets the request pass
	redirected                     // 302 to a login page
	unauthorized                   // 401
)

// trace is what happened to one request.
type trace struct {
	auth       authResult
	conditions conditions
	around     []int // numbers of the routes around the directive

	reached     []arrival // the token directives that got the request
	responder   string    // the handler that responded, if it is not a token directive
	path        string    // the path of the request when a handler responded, or at the end
	status      int       // of the response; 0: no handler responded
	authCalled  bool      // an auth server or Caddy's authentication ran
	authServers []string  // addresses of the auth servers that were called
	proxied     []string  // addresses of the applications that were called
	caches      []string  // caches of responses before the directive
	unknown     []string  // third-party handlers that were passed
	err         error     // of the routes
}

// arrival is a request at a token directive.
type arrival struct {
	directive    int
	placeholders identity.Placeholders
}

func (t *trace) reach(directive int, r *http.Request) {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	t.reached = append(t.reached, arrival{directive, snapshot(repl)})
}

// snapshot returns the placeholders of the authentication as they are now.
func snapshot(repl *caddy.Replacer) identity.Placeholders {
	m := make(identity.PlaceholderMap)
	for _, name := range identity.OrderPlaceholders {
		if v, ok := repl.Get(name); ok {
			m[name] = v
		}
	}
	return m
}

// Site is the routes of a config, ready for requests. It is not safe for concurrent use.
type Site struct {
	*stub
	http  *caddyhttp.App
	files *fallbackFiles
}

// Load prepares the routes of an HTTP app. names are the names of the token directives,
// which are numbered in the order of routes.WalkJSON. It returns an error if Caddy rejects
// the config. cancel releases the routes.
func Load(app map[string]any, names []string) (site *Site, cancel func(), err error) {
	register()
	// A config replaces the logger of the process. The command's own messages must not be
	// lost with those of the routes.
	defer func() { _, _ = caddy.ProvisionContext(new(caddy.Config)) }()
	cancel = func() {}
	s, err := newStub(app, names)
	if err != nil {
		return nil, cancel, err
	}
	text, err := json.Marshal(s.app)
	if err != nil {
		return nil, cancel, err
	}
	base, err := caddy.ProvisionContext(&caddy.Config{
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "FATAL"}}}},
	})
	if err != nil {
		return nil, cancel, err
	}
	// Only this context can be canceled, so the app must not be in the config above.
	ctx, cancelContext := caddy.NewContext(base)
	cancel = func() { cancelContext() }
	loaded, err := ctx.LoadModuleByID("http", text)
	if err != nil {
		return nil, cancel, err
	}
	site = &Site{s, loaded.(*caddyhttp.App), new(fallbackFiles)}
	ctx.FileSystems().Register(stubName, site.files)
	return site, cancel, nil
}

// request sends a GET through the routes of a server and records what happens in t. t says
// how the matchers and the authentication behave.
func (s *Site) request(server string, u URL, t *trace) {
	ctx := context.WithValue(context.Background(), traceKey{}, t)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+u.Host+u.Path, nil)
	if err != nil {
		t.err = err
		return
	}
	r.RequestURI, r.RemoteAddr, r.TLS = u.Path, "192.0.2.1:4711", &tls.ConnectionState{HandshakeComplete: true, ServerName: u.Host}
	r.Header.Set("Accept", "*/*")
	s.files.requested = u.Path
	w := &recorder{header: make(http.Header), request: r}
	defer func() {
		t.status, t.path, t.responder = w.status, cmp.Or(w.path, r.URL.Path), w.responder()
		switch p := recover(); {
		case p == http.ErrAbortHandler:
			t.responder = "abort"
		case p != nil:
			t.err = fmt.Errorf("panic: %v", p)
		}
	}()
	s.http.Servers[server].ServeHTTP(w, r)
}

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
	// front of it, only with other results of the matchers than for a plain GET.
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
	case slices.Contains(s.hidden, number):
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

// target sends requests to the URL of a target, or, if the directive is not reached there,
// to one that has the paths of the routes around it in front: handle_path removes them.
func (c *check) target(t target) Result {
	if strings.Contains(t.Host+t.Path, "{") {
		return Result{URL: t.URL, Other: -1, Skipped: "the host or the path contains a placeholder"}
	}
	r := c.url(t.URL)
	if r.Reached {
		return r
	}
	if t.full == t.Path {
		r.Stripped = c.stripped(r)
		return r
	}
	if p := c.url(URL{t.Host, t.full}); p.Reached {
		return p
	}
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
		Caches: t.caches, Unknown: t.unknown, Conditional: t.conditions != asWritten,
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
