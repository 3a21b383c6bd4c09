package exchange

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// attributeOutcome is how an exchange ended that got a token.
const attributeOutcome = attribute.Key("caddy_huma.outcome")

// trace begins the flight's span, under that of the request that starts it. The
// flight does not end with the request.
func (f *flight) trace(ctx context.Context) {
	f.ctx, f.span = tracing.Start(tracing.Detached(ctx), "exchange")
}

// traced ends it.
func (f *flight) traced() {
	if err := f.result.Err; err != nil {
		tracing.Fail(f.span, string(asError(err).Code))
	} else {
		f.span.SetAttributes(attributeOutcome.String(string(f.result.Outcome)))
	}
	f.span.End()
}

// wait waits for an exchange until ctx ends. In the trace of somebody who has
// not started it is a link to it.
func (f *flight) wait(ctx context.Context, started bool) error {
	if !started {
		_, span := tracing.Start(ctx, "wait for a running exchange", trace.WithLinks(trace.LinkFromContext(f.ctx)))
		defer span.End()
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
