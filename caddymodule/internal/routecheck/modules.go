package routecheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// The modules that replace parts of the config. They exist in the process of the command
// only: register registers them. Their IDs are constants and not literals, so that the
// documentation on Caddy's website does not list them.
const (
	handlerID   = "http.handlers." + stubName
	matcherID   = "http.matchers." + stubName
	transportID = "http.reverse_proxy.transport." + stubName
	stubName    = "caddy_huma_check"
)

// register registers the stub modules.
var register = sync.OnceFunc(func() {
	add := caddy.RegisterModule
	add(new(stubHandler))
	add(new(stubMatcher))
	add(new(stubTransport))
})

// The roles of a stubHandler.
const (
	roleDirective      = "directive"      // a token directive
	roleResponder      = "responder"      // a handler that responds, such as file_server
	roleAuthentication = "authentication" // Caddy's handler authentication, with any provider
	roleCache          = "cache"          // a cache of responses
	roleUnknown        = "unknown"        // any other third-party handler: it is assumed to call the next one
	rolePass           = "pass"           // a handler that always calls the next one
)

// stubHandler replaces a handler. It records in the trace of the request that it was
// reached.
type stubHandler struct {
	Role string `json:"role"`
	Name string `json:"name,omitempty"` // module name of the handler
	ID   int    `json:"id,omitempty"`   // index of the directive
}

// CaddyModule returns the Caddy module information.
func (*stubHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: handlerID, New: func() caddy.Module { return new(stubHandler) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *stubHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	t := traceOf(r.Context())
	switch h.Role {
	case roleDirective:
		t.reach(h.ID, r)
		return nil
	case roleResponder:
		w.Header().Set(responderHeader, h.Name)
		w.WriteHeader(http.StatusOK)
		_, err := io.WriteString(w, "ok")
		return err
	case roleAuthentication:
		t.authCalled = true
		if t.auth != signedIn {
			return caddyhttp.Error(http.StatusUnauthorized, errors.New("not authenticated"))
		}
		r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", "check")
	case roleCache:
		t.caches = append(t.caches, h.Name)
	case roleUnknown:
		t.unknown = append(t.unknown, h.Name)
	}
	return next.ServeHTTP(w, r)
}

// stubTransport replaces the transport of a reverse_proxy. It makes no calls.
type stubTransport struct {
	// Auth is true for an auth server: a forward_auth, or another reverse_proxy that
	// continues with the routes of the site after a 2xx response.
	Auth bool `json:"auth,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*stubTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: transportID, New: func() caddy.Module { return new(stubTransport) }}
}

// RoundTrip implements http.RoundTripper.
func (s *stubTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t := traceOf(r.Context())
	upstream := r.URL.Host
	if d, ok := reverseproxy.GetDialInfo(r.Context()); ok && d.Upstream != nil {
		upstream = d.Upstream.Dial // as in the config
	}
	status, header := http.StatusOK, make(http.Header)
	header.Set(responderHeader, "reverse_proxy to "+upstream)
	if !s.Auth {
		t.proxied = append(t.proxied, upstream)
	} else {
		t.authCalled = true
		t.authServers = append(t.authServers, upstream)
		switch t.auth {
		case unauthorized:
			status = http.StatusUnauthorized
		case redirected:
			status = http.StatusFound
			header.Set("Location", "https://login.invalid/")
		}
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: http.NoBody, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// responderHeader is the header of a response that names the handler it comes from.
const responderHeader = "Caddy-Huma-Check-Responder"

// fallbackFiles is the file system of the matchers whose result is the new path of the
// request, as in try_files: every name is an empty file except those of the requested path itself,
// with or without an extension, because a token endpoint is not a file.
type fallbackFiles struct{ requested string }

// Open implements fs.FS.
func (f *fallbackFiles) Open(name string) (fs.File, error) {
	last := "/" + path.Base(f.requested)
	if _, rest, found := strings.Cut("/"+name, last); found && last != "//" && (rest == "" || rest[0] == '/' || rest[0] == '.') {
		return nil, fs.ErrNotExist
	}
	return os.Open(os.DevNull)
}

// recorder records the status of a response and the path of the request then.
type recorder struct {
	header  http.Header
	request *http.Request
	status  int
	path    string
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.path = status, w.request.URL.Path
	}
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}

// responder returns the handler that wrote the response, or "" if no handler did.
func (w *recorder) responder() string {
	if w.status == 0 {
		return ""
	}
	return cmp.Or(w.header.Get(responderHeader), fmt.Sprintf("a respond, redir or error with status %d", w.status))
}

// traceKey is the context key of the trace of a request.
type traceKey struct{}

// traceOf returns the trace of the request with this context.
func traceOf(ctx context.Context) *trace { return ctx.Value(traceKey{}).(*trace) }

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler       = (*stubHandler)(nil)
	_ caddyhttp.RequestMatcherWithError = (*stubMatcher)(nil)
	_ caddy.Provisioner                 = (*stubMatcher)(nil)
	_ http.RoundTripper                 = (*stubTransport)(nil)
	_ fs.FS                             = (*fallbackFiles)(nil)
)
