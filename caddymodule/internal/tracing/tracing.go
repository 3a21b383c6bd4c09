// Package tracing makes spans under those that Caddy's tracing handler makes.
// What they tell are words that we have chosen: nothing of a user, a request or
// an answer.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer says in a trace who has made a span.
const tracer = "github.com/caddy-huma/caddy-huma/caddymodule"

// The attributes of spans. The latter two are OpenTelemetry's names.
const (
	outcome    = attribute.Key("caddy_huma.outcome")
	errorType  = attribute.Key("error.type")
	httpStatus = attribute.Key("http.response.status_code")
)

// Span is a part of a trace. If nothing is traced it tells nobody anything.
type Span struct{ trace.Span }

// Start begins a span under that of ctx. It is made by whoever made that one,
// because Caddy keeps its tracer to itself. If ctx has none nothing is traced,
// and it costs next to nothing.
func Start(ctx context.Context, name string) (context.Context, Span) { return start(ctx, name) }

// StartCall is Start for a call of somebody else.
func StartCall(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

// StartWait is Start for a wait for what is in another trace, and links to that.
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

// Detached is a context that does not end with ctx and has nothing of it but
// its span.
func Detached(ctx context.Context) context.Context {
	if span := trace.SpanFromContext(ctx); span.SpanContext().IsValid() {
		return trace.ContextWithSpan(context.Background(), span)
	}
	return context.Background()
}

// Outcome notes in a word how something ended well.
func (s Span) Outcome(word string) { s.SetAttributes(outcome.String(word)) }

// Fail notes in a word why something failed. The text of an error is in no trace.
func (s Span) Fail(word string) {
	s.SetAttributes(errorType.String(word))
	s.SetStatus(codes.Error, word)
}

// Status notes the HTTP status of a call's answer.
func (s Span) Status(status int) { s.SetAttributes(httpStatus.Int(status)) }
