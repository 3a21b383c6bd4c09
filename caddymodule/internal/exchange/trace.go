package exchange

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// trace begins the flight's span, under that of the request that starts it. The
// flight does not end with the request.
func (f *flight) trace(ctx context.Context) {
	f.ctx, f.span = tracing.Start(tracing.Detached(ctx), "exchange")
}

// traced ends it.
func (f *flight) traced() {
	if err := f.result.Err; err != nil {
		f.span.Fail(string(asError(err).Code))
	} else {
		f.span.Outcome(string(f.result.Outcome))
	}
	f.span.End()
}

// wait waits for an exchange until ctx ends. In the trace of somebody who has
// not started it is a link to it.
func (f *flight) wait(ctx context.Context, started bool) error {
	if !started {
		defer tracing.StartWait(ctx, "wait for a running exchange", f.ctx).End()
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
