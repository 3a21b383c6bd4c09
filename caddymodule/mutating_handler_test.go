package caddymodule_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// mutatingHandler is a fake of a plugin that overwrites the response to requests with the
// header X-Mutate, after it was sent.
type mutatingHandler struct{}

func init() {
	caddy.RegisterModule(new(mutatingHandler))
	httpcaddyfile.RegisterHandlerDirective("test_mutating", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(mutatingHandler), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_mutating", httpcaddyfile.Before, "basic_auth")
}

func (*mutatingHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_mutating", New: func() caddy.Module { return new(mutatingHandler) }}
}

func (*mutatingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Header.Get("X-Mutate") == "" {
		return next.ServeHTTP(w, r)
	}
	return next.ServeHTTP(mutatingWriter{w}, r)
}

// mutatingWriter sends a response and then overwrites its body and headers in place.
type mutatingWriter struct{ http.ResponseWriter }

func (w mutatingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	clear(b)
	for _, name := range []string{"Cache-Control", "Pragma", "X-Content-Type-Options", "Content-Type", "Content-Length"} {
		for i := range w.Header()[name] { // other headers are shared by Caddy
			w.Header()[name][i] = "mutated"
		}
	}
	return n, err
}

// TestC14_MutatedResponses checks that a plugin that overwrites one response does not
// change the responses to other requests, neither of the same exchange nor from the
// cache.
func TestC14_MutatedResponses(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		fake.SetFaults([]sandbox.Fault{{Delay: 200 * time.Millisecond}})
		s := serve(t, "SITE {\ntest_mutating\n"+p.block("", p.options(fake), "")+"}")
		caller := func(i int) []func(*http.Request) {
			edits := []func(*http.Request){as("a@x.example")}
			if i%2 == 0 {
				edits = append(edits, header("X-Mutate", "1"))
			}
			return edits
		}
		token := ""
		for range 3 { // first from the exchange, then from the cache
			for _, a := range s.concurrently(p.target(), 100, caller) {
				got := a.token(t, p)
				if token == "" {
					token = got
				}
				if got != token || a.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%v %s", a.Header, a.Body)
				}
				a.noStore(t)
			}
		}
		p.wantCalls(t, fake, 1, 0)
	})
}
