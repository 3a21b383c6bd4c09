// Package lifecycle ties values to the lifetime of a Caddy config: it takes them from
// caddy.UsagePools, releases them, and calls functions when the config has started.
package lifecycle

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// OnStarted calls f when the config has started (the event "started" of Caddy's events
// app). If the config is rejected, f is not called. OnStarted may be called while the
// config is provisioned. It returns an error if the events app cannot be loaded.
func OnStarted(ctx caddy.Context, f func()) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", started(f))
}

// started is an event handler that calls a function.
type started func()

// Handle implements caddyevents.Handler.
func (f started) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// String implements fmt.Stringer, for Caddy's debug log: a function cannot be encoded as
// JSON.
func (started) String() string { return "caddy_huma" }

// Interface guard
var _ caddyevents.Handler = started(nil)

// Cleanups is a stack of functions that release what a handler has acquired. The zero
// value is an empty stack. It is not safe for concurrent use.
type Cleanups []func()

// Add adds a function that Run calls.
func (r *Cleanups) Add(f func()) { *r = append(*r, f) }

// Run calls all functions in reverse order, and removes them: a second Run does not call
// them again.
func (r *Cleanups) Run() {
	for i := len(*r) - 1; i >= 0; i-- {
		(*r)[i]()
	}
	*r = nil
}

// FromPool loads the value of a key from a pool, or constructs it, and adds its release
// to r. It returns the error of construct. It panics if the value is not a T.
func FromPool[T any](r *Cleanups, pool *caddy.UsagePool, key string, construct caddy.Constructor) (T, error) {
	v, _, err := pool.LoadOrNew(key, construct)
	if err != nil {
		var none T
		return none, err
	}
	r.Add(func() { _, _ = pool.Delete(key) })
	return v.(T), nil
}
