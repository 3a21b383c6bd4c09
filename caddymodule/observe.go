package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// observed makes one call at the service, counts it and makes it a span.
func (e *endpoint) observed(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	ctx, span := tracing.StartCall(ctx, e.service.name+" "+e.service.calls[op])
	defer span.End()
	start := time.Now()
	err := call(ctx)
	result := exchange.CallResultOf(op, err)
	e.meters.called(op, result, time.Since(start))
	if err != nil && span.IsRecording() {
		var status *exchange.StatusError
		if errors.As(err, &status) {
			span.Status(status.Status)
		}
		span.Fail(string(result))
	}
	return err
}

// roundTripper is the way to the service.
func (e *endpoint) roundTripper() http.RoundTripper {
	transport := e.rehearsal.watch(e.upstream.transport)
	if e.common.TraceUpstream {
		transport = tracing.Transport{RoundTripper: transport}
	}
	return transport
}
