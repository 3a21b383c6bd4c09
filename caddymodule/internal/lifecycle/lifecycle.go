// Package lifecycle ties values to the life of a Caddy config: it takes them from
// caddy.UsagePools, releases them, and calls functions when the config has started.
package lifecycle

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// OnStarted calls f once the config runs.
func OnStarted(ctx caddy.Context, f func()) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", started(f))
}

// started is a function that the start of a config calls.
type started func()

// Handle implements caddyevents.Handler.
func (f started) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// String implements fmt.Stringer, for Caddy's debug log: a function has no JSON.
func (started) String() string { return "caddy_huma" }

// Interface guard
var _ caddyevents.Handler = started(nil)

// Cleanups gives back what a handler has acquired, in reverse, and each once.
type Cleanups []func()

// Add adds a function to call.
func (r *Cleanups) Add(f func()) { *r = append(*r, f) }

// Run calls all functions, the last one first, and forgets them.
func (r *Cleanups) Run() {
	for i := len(*r) - 1; i >= 0; i-- {
		(*r)[i]()
	}
	*r = nil
}

// FromPool takes a value from a pool, and notes its release.
func FromPool[T any](r *Cleanups, pool *caddy.UsagePool, key string, construct caddy.Constructor) (T, error) {
	v, _, err := pool.LoadOrNew(key, construct)
	if err != nil {
		var none T
		return none, err
	}
	r.Add(func() { _, _ = pool.Delete(key) })
	return v.(T), nil
}
