// Package tracing starts spans below those of Caddy's tracing handler. Names and
// attributes of spans are fixed words: they contain nothing of a user, a request or a
// response.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer is the instrumentation scope of the spans.
const tracer = "github.com/caddy-huma/caddy-huma/caddymodule"

// The attributes of spans. error.type and http.response.status_code are OpenTelemetry's
// names.
const (
	outcome    = attribute.Key("caddy_huma.outcome")
	errorType  = attribute.Key("error.type")
	httpStatus = attribute.Key("http.response.status_code")
)

// Span is a part of a trace. If the request is not traced, its methods do nothing.
type Span struct{ trace.Span }

// Start starts a span as a child of the span in ctx. It uses the TracerProvider of that
// span, because Caddy does not export its own. If ctx has no span, nothing is traced,
// and Start costs next to nothing.
func Start(ctx context.Context, name string) (context.Context, Span) { return start(ctx, name) }

// StartCall is Start for a call to another server (span kind client).
func StartCall(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

// StartWait is Start for a wait for an operation in another trace. The span has a link
// to the span in other.
func StartWait(ctx context.Context, name string, other context.Context) Span {
	_, span := start(ctx, name, trace.WithLinks(trace.LinkFromContext(other)))
	return span
}

func start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, Span{parent}
	}
	ctx, span := parent.TracerProvider().Tracer(tracer).Start(ctx, name, options...)
	return ctx, Span{span}
}

// Detached returns a context that does not end with ctx and has nothing of ctx but its
// span.
func Detached(ctx context.Context) context.Context {
	if span := trace.SpanFromContext(ctx); span.SpanContext().IsValid() {
		return trace.ContextWithSpan(context.Background(), span)
	}
	return context.Background()
}

// Outcome sets the outcome of a successful operation, in one word.
func (s Span) Outcome(word string) { s.SetAttributes(outcome.String(word)) }

// Fail sets the reason of a failure, in one word. Traces never contain the text of an
// error.
func (s Span) Fail(word string) {
	s.SetAttributes(errorType.String(word))
	s.SetStatus(codes.Error, word)
}

// Status sets the HTTP status of the response to a call.
func (s Span) Status(status int) { s.SetAttributes(httpStatus.Int(status)) }
