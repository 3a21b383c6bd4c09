package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// panickingPlugin is a fake of a plugin with the placeholder {broken}, which panics for
// requests with the header X-Panic. The value of the header selects the value of the
// panic.
type panickingPlugin struct{}

func init() {
	caddy.RegisterModule(panickingPlugin{})
	httpcaddyfile.RegisterHandlerDirective("test_broken", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return panickingPlugin{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_broken", httpcaddyfile.Before, "basic_auth")
}

func (panickingPlugin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_broken", New: func() caddy.Module { return new(panickingPlugin) }}
}

func (panickingPlugin) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	repl.Map(func(key string) (any, bool) {
		if key != "broken" {
			return nil, false
		}
		switch r.Header.Get("X-Panic") {
		case "value":
			panic("canary-of-a-panic")
		case "abort":
			panic(http.ErrAbortHandler)
		}
		return "alice@x.example", true
	})
	return next.ServeHTTP(w, r)
}

// TestC06_PanicInARequest checks that a panic causes one error response, that its value
// is neither logged nor sent, and that other requests succeed.
func TestC06_PanicInARequest(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		h := newHuma(t, sandbox.Config{})
		s := serve(t, `SITE {
			test_broken
			`+p.directive+` {
				`+p.options(h)+`
				identity {
					`+map[string]string{"huma": "email", "human_api": "user_id"}[p.name]+` {broken}
				}
			}
		}`)
		s.request("GET", p.target()).token(t, p)
		s.request("GET", p.target(), header("X-Panic", "value")).problem(t, 500, "internal_error")
		if a, err := s.tryRequest(t.Context(), "GET", p.target(), header("X-Panic", "abort")); err == nil {
			t.Errorf("an aborted request got a response: %d", a.StatusCode)
		}
		s.request("GET", p.target()).token(t, p)
		if found := s.logLines("panic while serving a request"); len(found) != 1 || !strings.Contains(found[0], "panic_test.go") {
			t.Errorf("the log has %q, want one line with the location", found)
		}
		s.noSecretsInLog("canary-of-a-panic")
	})
}
