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

// mutatingHandler plays a plugin in front that writes over whatever it gets hold of
// of the answers to requests with the header X-Scribble.
type mutatingHandler struct{}

func init() {
	caddy.RegisterModule(new(mutatingHandler))
	httpcaddyfile.RegisterHandlerDirective("test_scribbler", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(mutatingHandler), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_scribbler", httpcaddyfile.Before, "basic_auth")
}

func (*mutatingHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_scribbler", New: func() caddy.Module { return new(mutatingHandler) }}
}

func (*mutatingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Header.Get("X-Scribble") == "" {
		return next.ServeHTTP(w, r)
	}
	return next.ServeHTTP(mutatingWriter{w}, r)
}

// mutatingWriter is an answer that is sent, and then written over in place.
type mutatingWriter struct{ http.ResponseWriter }

func (w mutatingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	clear(b)
	for _, name := range []string{"Cache-Control", "Pragma", "X-Content-Type-Options", "Content-Type", "Content-Length"} {
		for i := range w.Header()[name] { // the others are Caddy's, which shares them
			w.Header()[name][i] = "scribbled"
		}
	}
	return n, err
}

// TestC14_AnswersThatAreWrittenOver: what becomes of one caller's answer is
// nothing that others see, whether they wait for the same exchange or come
// later.
func TestC14_AnswersThatAreWrittenOver(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		fake.SetFaults([]sandbox.Fault{{Delay: 200 * time.Millisecond}})
		s := serve(t, "SITE {\ntest_scribbler\n"+p.block("", p.options(fake), "")+"}")
		caller := func(i int) []func(*http.Request) {
			edits := []func(*http.Request){as("a@x.example")}
			if i%2 == 0 {
				edits = append(edits, header("X-Scribble", "1"))
			}
			return edits
		}
		token := ""
		for range 3 { // of the exchange, and then of the cache
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
