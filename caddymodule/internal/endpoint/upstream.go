package endpoint

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/resilience"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// observed makes one call at the service, counts it and makes it a span.
func (e *Endpoint) observed(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	ctx, span := tracing.StartCall(ctx, e.Service.Name+" "+e.Service.calls[op])
	defer span.End()
	start := time.Now()
	err := call(ctx)
	result := e.Service.callResult(op, err)
	e.metrics.ObserveCall(op, result, time.Since(start))
	if err != nil && span.IsRecording() {
		var status *exchange.StatusError
		if errors.As(err, &status) {
			span.Status(status.Status)
		}
		span.Fail(string(result))
	}
	return err
}

// Transport is the way to the service.
func (e *Endpoint) Transport() http.RoundTripper {
	transport := e.DryRun.record(e.upstream.Transport)
	if e.common.TraceUpstream {
		transport = tracing.Transport{RoundTripper: transport}
	}
	return transport
}

// Do makes one call at the service, within the limits and with the retries
// of this handler. A sign-up is never repeated, and may take whatever time the
// exchange has left: cutting it short would leave its end unclear.
func (e *Endpoint) Do(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	l := resilience.Limits{
		AttemptTimeout: time.Duration(cmp.Or(e.common.AttemptTimeout, defaultAttemptTimeout)),
		Retries:        *cmp.Or(e.common.Retries, &defaultRetries),
		User:           string(exchange.UserFrom(ctx)),
		Continues:      exchange.HasPriority(ctx),
	}
	switch op {
	case exchange.OpSignUp:
		l.AttemptTimeout, l.Retries, l.Long = 0, 0, true
	case exchange.OpConsent:
		l.Retries = 0
	}
	e.upstream.OnBreaker.Store(&e.onBreaker)
	return e.upstream.Guard.Do(ctx, l, func(ctx context.Context) error { return e.observed(ctx, op, call) })
}
