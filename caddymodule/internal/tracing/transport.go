package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

// Transport adds the trace of a call to its request: the header traceparent (W3C Trace
// Context) and no other.
type Transport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	propagation.TraceContext{}.Inject(r.Context(), traceparent{r.Header})
	return t.RoundTripper.RoundTrip(r)
}

// traceparent sets the header of that name and drops tracestate, which may contain data
// of other systems.
type traceparent struct{ http.Header }

// Set implements propagation.TextMapCarrier.
func (h traceparent) Set(key, value string) {
	if key == "traceparent" {
		h.Header.Set(key, value)
	}
}

// Keys implements propagation.TextMapCarrier. No header is read.
func (h traceparent) Keys() []string { return nil }

// Interface guards
var (
	_ http.RoundTripper          = Transport{}
	_ propagation.TextMapCarrier = traceparent{}
)
