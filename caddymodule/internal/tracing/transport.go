package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

// Transport adds the trace of a call to its request: the header traceparent (W3C Trace
// Context) without tracestate, which may contain data of other systems.
type Transport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
	r.Header.Del("tracestate")
	return t.RoundTripper.RoundTrip(r)
}

// Interface guard
var _ http.RoundTripper = Transport{}
