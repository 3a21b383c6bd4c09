// Package routecheck sends requests through the routes of a config, without starting it,
// and reports what keeps them from its token directives. In a copy of the config, the
// token directives are replaced by handlers that record the request, and everything that
// would listen, make a call or read a file by stubs. So the result is what Caddy's own
// routing does, not a reading of the config.
package routecheck

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
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
	auth authResult

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

func (t *trace) respond(handler string) {
	if t.responder == "" {
		t.responder = handler
	}
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

// Site is the routes of a config, ready for requests.
type Site struct {
	variants []variant
	hidden   []int
}

// variant is the routes with the matchers changed by conditions.
type variant struct {
	app   *caddyhttp.App
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
	site = new(Site)
	var cancels []func()
	cancel = func() {
		for _, f := range cancels {
			f()
		}
	}
	for _, c := range []conditions{asWritten, alwaysMatch, neverMatch} {
		var text json.RawMessage
		if text, site.hidden, err = stubApp(app, names, c); err != nil {
			return nil, cancel, err
		}
		v, f, err := provision(text)
		cancels = append(cancels, f)
		if err != nil {
			return nil, cancel, err
		}
		site.variants = append(site.variants, v)
	}
	return site, cancel, nil
}

// provision provisions an app in a config of its own, which logs nothing.
func provision(app json.RawMessage) (v variant, cancel func(), err error) {
	base, err := caddy.ProvisionContext(&caddy.Config{
		AppsRaw: caddy.ModuleMap{"http": app},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "FATAL"}}}},
	})
	if err != nil {
		return v, func() {}, err
	}
	ctx, cancelContext := caddy.NewContext(base)
	cancel = func() { cancelContext() }
	loaded, err := ctx.App("http")
	if err != nil {
		return v, cancel, err
	}
	v = variant{loaded.(*caddyhttp.App), new(fallbackFiles)}
	ctx.FileSystems().Register(stubName, v.files)
	return v, cancel, nil
}

// request sends a GET through the routes of a server.
func (v variant) request(server, host, path string, auth authResult) *trace {
	t := &trace{auth: auth}
	ctx := context.WithValue(context.Background(), traceKey{}, t)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		t.err = err
		return t
	}
	r.RequestURI, r.RemoteAddr, r.TLS = path, "192.0.2.1:4711", &tls.ConnectionState{HandshakeComplete: true, ServerName: host}
	r.Header.Set("Accept", "*/*")
	v.files.requested = path
	w := &recorder{header: make(http.Header)}
	defer func() {
		t.status = w.status
		if t.path == "" {
			t.path = r.URL.Path
		}
		p := recover()
		if err, ok := p.(error); p != nil && !(ok && errors.Is(err, http.ErrAbortHandler)) { // `abort` panics, too
			t.err = fmt.Errorf("panic: %v", p)
		}
	}()
	v.app.Servers[server].ServeHTTP(w, r)
	return t
}

// recorder records the status of a response.
type recorder struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}

// URL is where a request is sent.
type URL struct{ Host, Path string }

// String returns the URL without its scheme.
func (u URL) String() string { return u.Host + u.Path }

// Result is the result of the requests to a directive at one URL.
type Result struct {
	URL URL

	// Skipped is why the directive was not checked. Empty: it was.
	Skipped string

	// Reached is true if a request reaches the directive: as the config is written, or
	// with other results of the matchers that depend on more than host and path.
	Reached bool
	// Other is the number of the token directive that gets the request instead, or -1.
	Other int
	// Responder is the handler that responds instead, or empty.
	Responder string
	// Path is the path of the request at the end, after rewrites.
	Path string

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
// the directive, p its place.
func (s *Site) Check(app map[string]any, number int, p routes.Place, defaultPath string) []Result {
	if slices.Contains(s.hidden, number) {
		return []Result{{Skipped: "the directive is in the routes of a third-party handler"}}
	}
	if p.Errors {
		return []Result{{Skipped: "the directive is in handle_errors"}}
	}
	places := []routes.Place{p}
	if p.Named != "" {
		if places = invokers(app, p); places == nil {
			return []Result{{Other: -1, NotInvoked: true}}
		}
	}
	var all []Result
	for _, p := range places {
		for _, t := range targets(p, defaultPath) {
			all = append(all, s.checkTarget(number, p.Server, t))
		}
	}
	return all
}

// checkTarget sends requests to the URL of a target, or, if the directive is not reached
// there, to one that has the paths of the routes around it in front: handle_path removes
// them.
func (s *Site) checkTarget(number int, server string, t target) Result {
	if strings.Contains(t.Host+t.Path, "{") {
		return Result{URL: t.URL, Other: -1, Skipped: "the host or the path contains a placeholder"}
	}
	r := s.check(number, server, t.URL)
	if r.Reached || t.prefix == "" {
		return r
	}
	if p := s.check(number, server, URL{t.Host, t.prefix + t.Path}); p.Reached {
		return p
	}
	return r
}

func (s *Site) check(number int, server string, u URL) Result {
	var first *trace
	for _, v := range s.variants {
		t := v.request(server, u.Host, u.Path, signedIn)
		if first == nil {
			first = t
		}
		i := slices.IndexFunc(t.reached, func(a arrival) bool { return a.directive == number })
		if i < 0 {
			continue
		}
		r := Result{
			URL: u, Reached: true, AuthServers: t.authServers, Placeholders: t.reached[i].placeholders,
			Caches: t.caches, Unknown: t.unknown,
		}
		if t.authCalled {
			r.Unauthorized = v.request(server, u.Host, u.Path, unauthorized).status
			r.Redirected = v.request(server, u.Host, u.Path, redirected).status
		}
		return r
	}
	r := Result{URL: u, Other: -1, Responder: first.responder, Path: first.path, Unknown: first.unknown, Caches: first.caches}
	switch {
	case first.err != nil:
		r.Skipped = first.err.Error()
	case len(first.reached) > 0:
		r.Other = first.reached[0].directive
	case r.Responder == "" && first.status != 0:
		r.Responder = fmt.Sprintf("a handler with status %d", first.status)
	}
	return r
}
