package caddymodule

import "github.com/caddyserver/caddy/v2"

func init() { caddy.RegisterModule((*adminAPI)(nil)) }

// adminAPI is this plugin's part of Caddy's admin endpoint. It has no config and
// no state: Caddy makes one for each config, before that is known to be good,
// and tells it nothing when the config goes.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.huma", New: func() caddy.Module { return new(adminAPI) }}
}

// Provision makes the metrics part of what the endpoint's own /metrics tells.
// That is of the config which was loaded last, also if it was rejected before
// any of our handlers was set up.
func (*adminAPI) Provision(ctx caddy.Context) error {
	return registerMetrics(ctx.GetMetricsRegistry())
}

// Routes implements caddy.AdminRouter.
func (*adminAPI) Routes() []caddy.AdminRoute { return nil }

// Interface guards
var (
	_ caddy.Provisioner = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
)
