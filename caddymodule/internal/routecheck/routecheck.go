// Package routecheck sends requests through the routes of a config, without starting it,
// and reports what keeps them from its token directives. In a copy of the config, the
// token directives are replaced by handlers that record the request, and everything that
// would listen, make a call or read a file by stubs. So the result is that of Caddy's
// own routing.
package routecheck

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// authResult is how authentication in front of the directives treats a request.
type authResult int

const (
	signedIn     authResult = iota // it lets the request pass
	redirected                     // 302 to a login page
	unauthorized                   // 401
)

// trace records the way of one request.
type trace struct {
	auth       authResult
	conditions conditions
	around     []int // numbers of the routes around the directive

	reached     []arrival // the token directives that got the request
	responder   string    // the handler that responded, if it is not a token directive
	path        string    // the path of the request when a handler responded, or at the end
	status      int       // of the response; 0: no handler responded
	assumed     bool      // the result of a matcher was assumed
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
	loaded, err := loadApp(ctx, text)
	if err != nil {
		return nil, cancel, err
	}
	site = &Site{s, loaded, new(fallbackFiles)}
	ctx.FileSystems().Register(stubName, site.files)
	return site, cancel, nil
}

// loadApp loads an HTTP app. Caddy panics at some invalid configs, such as an upstream
// that is null.
func loadApp(ctx caddy.Context, config json.RawMessage) (app *caddyhttp.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	loaded, err := ctx.LoadModuleByID("http", config)
	if err != nil {
		return nil, err
	}
	return loaded.(*caddyhttp.App), nil
}

// request sends a GET through the routes of a server and records what happens in t. t says
// how the matchers and the authentication behave.
func (s *Site) request(server string, u URL, t *trace) {
	ctx := context.WithValue(context.Background(), traceKey{}, t)
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+u.Path, http.NoBody)
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
		p := recover()
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			t.responder = "abort"
		} else if p != nil {
			t.err = fmt.Errorf("panic: %v", p)
		}
	}()
	s.http.Servers[server].ServeHTTP(w, r)
}
