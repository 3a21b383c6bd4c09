package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

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

// Keys implements propagation.TextMapCarrier. Nothing is read from it.
func (h traceparent) Keys() []string { return nil }

// Interface guards
var (
	_ http.RoundTripper          = Transport{}
	_ propagation.TextMapCarrier = traceparent{}
)
