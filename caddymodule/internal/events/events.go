// Package events emits the plugin's events to Caddy's events app.
package events

import (
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
)

// The events that Caddy's events app is told of. Their data are the provider,
// and in the first the user as logs name them.
const (
	eventRegistered    = "huma_registered"     // a user was signed up at Huma
	eventBreakerOpened = "huma_breaker_opened" // a service is down: calls are not made for a while
	eventBreakerClosed = "huma_breaker_closed" // it answers again
)

// maxEmitting is how many events of a handler may be on their way at once. Who
// listens may be slow, and no exchange waits for that.
const maxEmitting = 100

// Emitter tells Caddy's events app of events, from the config of a handler.
type Emitter struct {
	ctx    caddy.Context
	app    *caddyevents.App
	logger *zap.Logger
	free   chan struct{}
}

// New returns the Emitter of a config.
func New(ctx caddy.Context) (*Emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &Emitter{ctx, app.(*caddyevents.App), ctx.Logger(), make(chan struct{}, maxEmitting)}, nil
}

// emit tells of an event if the config still runs: otherwise what listened is
// gone. It does not wait for those who listen.
func (e *Emitter) emit(name string, data map[string]any) {
	if e.ctx.Err() != nil || !e.app.ShouldEmit(name) {
		return
	}
	select {
	case e.free <- struct{}{}:
	default:
		e.logger.Warn("an event is not told: too many are on their way", zap.String("event", name))
		return
	}
	go func() {
		defer func() {
			<-e.free
			if recover() != nil { // the value is dropped: it may hold anything
				e.logger.Error("who listens to an event has panicked", zap.String("event", name), zap.ByteString("stack", debug.Stack()))
			}
		}()
		e.app.Emit(e.ctx, name, data)
	}()
}

// Breaker tells that the breaker of a service has opened or closed.
func (e *Emitter) Breaker(service string, open bool) {
	name := eventBreakerClosed
	if open {
		name = eventBreakerOpened
	}
	e.emit(name, map[string]any{"provider": service})
}

// Registered tells that a user was signed up, by the name that logs have, whether or
// not a token came of it.
func (e *Emitter) Registered(service, user string) {
	e.emit(eventRegistered, map[string]any{"provider": service, "user": user})
}
