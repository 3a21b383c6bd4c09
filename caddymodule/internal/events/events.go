// Package events emits the plugin's events to Caddy's events app.
package events

import (
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
)

// The names of the events. The data of each event has "provider", the name of the
// service. The data of huma_registered also has "user", the hash that identifies the user
// in logs.
const (
	eventRegistered    = "huma_registered"     // a user was signed up at Huma
	eventBreakerOpened = "huma_breaker_opened" // a service is down: calls are suspended for a while
	eventBreakerClosed = "huma_breaker_closed" // the service responds again
)

// maxEmitting is the maximum number of events of a handler that are being emitted at
// once. Subscribers may be slow, and no exchange waits for them.
const maxEmitting = 100

// Emitter emits the events of one handler to Caddy's events app. Its methods do not
// block. They are safe for concurrent use.
type Emitter struct {
	ctx    caddy.Context
	app    *caddyevents.App
	logger *zap.Logger
	free   chan struct{} // a semaphore: holds one value per event that is being emitted
}

// New returns an Emitter for a handler of the config ctx. It returns an error if the
// events app cannot be loaded.
func New(ctx caddy.Context) (*Emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &Emitter{ctx, app.(*caddyevents.App), ctx.Logger(), make(chan struct{}, maxEmitting)}, nil
}

// emit emits an event in the background. It does nothing if the config is unloaded,
// because its subscribers are unloaded, too, or if nothing would observe the event
// (caddyevents.App.ShouldEmit). If maxEmitting events are being emitted already, it drops
// the event and logs that.
func (e *Emitter) emit(name string, data map[string]any) {
	if e.ctx.Err() != nil || !e.app.ShouldEmit(name) {
		return
	}
	select {
	case e.free <- struct{}{}:
	default:
		e.logger.Warn("event dropped: too many events are pending", zap.String("event", name))
		return
	}
	go func() {
		defer func() {
			<-e.free
			if recover() != nil { // do not log the value: it may hold a secret
				e.logger.Error("event handler panicked", zap.String("event", name), zap.ByteString("stack", debug.Stack()))
			}
		}()
		e.app.Emit(e.ctx, name, data)
	}()
}

// Breaker emits huma_breaker_opened or huma_breaker_closed.
func (e *Emitter) Breaker(service string, open bool) {
	name := eventBreakerClosed
	if open {
		name = eventBreakerOpened
	}
	e.emit(name, map[string]any{"provider": service})
}

// Registered emits huma_registered: a user was signed up, whether or not the exchange
// then returned a token. user is the hash that identifies the user in logs.
func (e *Emitter) Registered(service, user string) {
	e.emit(eventRegistered, map[string]any{"provider": service, "user": user})
}
