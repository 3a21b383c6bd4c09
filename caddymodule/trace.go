package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// traced makes one call at the service, as a span of its own.
func (e *endpoint) traced(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	ctx, span := tracing.StartCall(ctx, e.name+" "+string(op))
	defer span.End()
	err := call(ctx)
	if err != nil && span.IsRecording() {
		var status *exchange.StatusError
		if errors.As(err, &status) {
			span.Status(status.Status)
		}
		span.Fail(string(exchange.CallResultOf(op, err)))
	}
	return err
}

// roundTripper is the way to the service.
func (e *endpoint) roundTripper() http.RoundTripper {
	if e.common.TraceUpstream {
		return tracing.Transport{RoundTripper: e.upstream.transport}
	}
	return e.upstream.transport
}
