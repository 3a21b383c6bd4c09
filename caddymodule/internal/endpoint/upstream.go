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

// attemptCall makes one attempt at a call, and records it in metrics and in a span.
func (e *Endpoint) attemptCall(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
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

// Transport returns the transport for calls at the service. It records the calls in a dry
// run, and it traces them with the option trace_upstream.
func (e *Endpoint) Transport() http.RoundTripper {
	transport := e.DryRun.record(e.upstream.Transport)
	if e.common.TraceUpstream {
		transport = tracing.Transport{RoundTripper: transport}
	}
	return transport
}

// Do makes one call at the service, with the limits, the timeout per attempt and the
// retries of this handler. A consent is not retried. A sign-up is not retried, and has no
// timeout of its own, only that of the exchange: canceling it would leave its result
// unknown.
func (e *Endpoint) Do(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	l := resilience.Limits{
		AttemptTimeout: time.Duration(cmp.Or(e.common.AttemptTimeout, defaultAttemptTimeout)),
		Retries:        *cmp.Or(e.common.Retries, &defaultRetries),
		User:           string(exchange.UserFrom(ctx)),
		Priority:       exchange.HasPriority(ctx),
	}
	switch op {
	case exchange.OpSignUp:
		l.AttemptTimeout, l.Retries, l.Long = 0, 0, true
	case exchange.OpConsent:
		l.Retries = 0
	}
	e.upstream.OnBreaker.Store(&e.onBreaker)
	return e.upstream.Client.Do(ctx, l, func(ctx context.Context) error { return e.attemptCall(ctx, op, call) })
}
