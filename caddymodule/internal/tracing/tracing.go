// Package tracing makes spans under those that Caddy's tracing handler makes.
// What they tell are words that we have chosen: nothing of a user, a request or
// an answer.
package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracer says in a trace who has made a span.
const tracer = "github.com/caddy-huma/caddy-huma/caddymodule"

// errorType is OpenTelemetry's name for why something failed, in a word.
const errorType = attribute.Key("error.type")

// Start begins a span under that of ctx. It is made by whoever made that one,
// because Caddy keeps its tracer to itself. If ctx has none nothing is traced,
// and it costs next to nothing.
func Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, parent
	}
	return parent.TracerProvider().Tracer(tracer).Start(ctx, name, options...)
}

// StartCall is Start for a call of somebody else.
func StartCall(ctx context.Context, name string) (context.Context, trace.Span) {
	return Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

// Fail notes why what a span stands for has failed, in a word. The text of an
// error is in no trace.
func Fail(span trace.Span, why string) {
	span.SetAttributes(errorType.String(why))
	span.SetStatus(codes.Error, why)
}

// Status notes the HTTP status of a call's answer.
func Status(span trace.Span, status int) {
	span.SetAttributes(attribute.Int("http.response.status_code", status))
}

// Detached is a context that does not end with ctx and has nothing of it but
// its span.
func Detached(ctx context.Context) context.Context {
	if span := trace.SpanFromContext(ctx); span.SpanContext().IsValid() {
		return trace.ContextWithSpan(context.Background(), span)
	}
	return context.Background()
}

// Transport tells whoever is called to which trace a call belongs: in the
// header traceparent (W3C Trace Context) and nothing else.
type Transport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	propagation.TraceContext{}.Inject(r.Context(), traceparent{r.Header})
	return t.RoundTripper.RoundTrip(r)
}

// traceparent takes the header of that name and leaves out tracestate, in which
// others may have put anything.
type traceparent struct{ http.Header }

// Set implements propagation.TextMapCarrier.
func (h traceparent) Set(key, value string) {
	if key == "traceparent" {
		h.Header.Set(key, value)
	}
}

// Get implements propagation.TextMapCarrier.
func (h traceparent) Get(string) string { return "" }

// Keys implements propagation.TextMapCarrier. Nothing is read from it.
func (h traceparent) Keys() []string { return nil }
