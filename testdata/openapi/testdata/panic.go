package main

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// panickingPlugin is a fake of a plugin with a bug: its placeholder {broken} panics. The
// test adds this file to the package cmd/caddy, because nothing outside of Caddy can
// cause the error internal_error.
type panickingPlugin struct{}

func init() {
	caddy.RegisterModule(panickingPlugin{})
	httpcaddyfile.RegisterHandlerDirective("test_broken", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return panickingPlugin{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_broken", httpcaddyfile.Before, "basic_auth")
}

// CaddyModule returns the Caddy module information.
func (panickingPlugin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_broken", New: func() caddy.Module { return new(panickingPlugin) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (panickingPlugin) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(func(key string) (any, bool) {
		if key == "broken" {
			panic("a bug")
		}
		return nil, false
	})
	return next.ServeHTTP(w, r)
}
