package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// receiver is an OTLP receiver for the spans of Caddy's tracing handler.
type receiver struct {
	t     *testing.T
	mu    sync.Mutex
	raw   bytes.Buffer // all received bytes
	spans []*otlp.Span
}

// newReceiver starts a receiver and configures this process to send spans to it, by
// environment variables.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		r.t.Errorf("%s: %v", req.URL.Path, err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(body)
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// clientTrace is the trace context of a client.
type clientTrace struct{ id string }

// newTrace returns a trace for one request.
func newTrace(n int) clientTrace { return clientTrace{fmt.Sprintf("%032x", 0xabc000+n)} }

// header sets the trace headers of a request.
func (c clientTrace) header() func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Traceparent", "00-"+c.id+"-00000000000000aa-01")
		r.Header.Set("Tracestate", "other=1")
		r.Header.Set("Baggage", "user=CANARY-baggage")
	}
}

// waitSpans waits until at least n spans of a trace have been received, including the one
// of the request, and returns them by start time.
func (r *receiver) waitSpans(c clientTrace, n int) []*otlp.Span {
	r.t.Helper()
	var found []*otlp.Span
	eventually(r.t, 10*time.Second, fmt.Sprint(n, " spans came"), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		found = nil
		for _, s := range r.spans {
			if hex.EncodeToString(s.GetTraceId()) == c.id {
				found = append(found, s)
			}
		}
		return len(found) >= n
	})
	slices.SortFunc(found, func(a, b *otlp.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	return found
}

// formatTrace formats a trace: each span indented below its parent, with its attributes.
func formatTrace(spans []*otlp.Span) string {
	var b strings.Builder
	var below func(parent []byte, depth int)
	below = func(parent []byte, depth int) {
		for _, s := range spans {
			if !bytes.Equal(s.GetParentSpanId(), parent) {
				continue
			}
			fmt.Fprint(&b, strings.Repeat("  ", depth), s.GetName())
			if depth > 0 { // the span of the request is Caddy's
				for _, a := range s.GetAttributes() {
					fmt.Fprintf(&b, " %s=%s%s", a.GetKey(), a.GetValue().GetStringValue(), integer(a.GetValue().GetIntValue()))
				}
				if s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
					fmt.Fprintf(&b, " (%s)", s.GetStatus().GetMessage())
				}
			}
			fmt.Fprintln(&b)
			below(s.GetSpanId(), depth+1)
		}
	}
	root, _ := hex.DecodeString("00000000000000aa")
	below(root, 0)
	return b.String()
}

func integer(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// wantTrace checks the formatted trace.
func (r *receiver) wantTrace(c clientTrace, want ...string) []*otlp.Span {
	r.t.Helper()
	spans := r.waitSpans(c, len(want))
	if got := formatTrace(spans); got != strings.Join(want, "\n")+"\n" {
		r.t.Errorf("the trace is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	return spans
}

// wantNone checks that no span contains one of the texts.
func (r *receiver) wantNone(texts ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range append(texts, "CANARY", "sandbox-secret") {
		if bytes.Contains(r.raw.Bytes(), []byte(text)) {
			r.t.Errorf("%q is in a trace", text)
		}
	}
}

// tracedSite returns a site with Caddy's tracing handler.
func (p service) tracedSite(h *fakeHuma, more string) string {
	return strings.Replace(p.site(h, more), "SITE {\n", "SITE {\ntracing {\nspan request\n}\n", 1)
}

// callHeaders holds the headers of calls to a service.
type callHeaders struct {
	mu  sync.Mutex
	all []http.Header
}

// recordCalls records the headers of calls between Caddy and the service.
func recordCalls(t *testing.T, fake *fakeHuma) *callHeaders {
	t.Helper()
	var h callHeaders
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.all = append(h.all, r.Header.Clone())
		h.mu.Unlock()
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	fake.URL = srv.URL
	return &h
}

func (h *callHeaders) headers() []http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// TestTrace checks that an exchange and its calls are spans below the span of the
// request, in order, and that a cache hit adds no span.
func TestTrace(t *testing.T) {
	r := newReceiver(t)
	second := map[string]string{
		"huma":      "    huma signup",
		"human_api": "    human_api id",
	}
	refused := map[string]string{
		"huma":      "    huma signin http.response.status_code=403 error.type=refused (refused)",
		"human_api": "    human_api session http.response.status_code=403 error.type=refused (refused)",
	}
	outcome := map[string]string{"huma": "registered", "human_api": "signed_in"}
	n := 0
	forBoth(t, func(t *testing.T, p service) {
		r.t = t
		fake := newHuma(t, sandbox.Config{})
		heard := recordCalls(t, fake)
		p.requireBothCalls(t, fake, "canary@x.example")
		s := serve(t, p.tracedSite(fake, ""))
		n++
		missTrace, hitTrace := newTrace(10*n), newTrace(10*n+1)
		token := s.request("GET", p.target(), as("canary@x.example"), header("X-Test-Name", "Ada Liddell"), missTrace.header()).token(t, p)
		s.request("GET", p.target(), as("canary@x.example"), hitTrace.header()).token(t, p)
		r.wantTrace(hitTrace, "request")
		r.wantTrace(missTrace, "request", "  exchange caddy_huma.outcome="+outcome[p.name], refused[p.name], second[p.name])
		r.wantNone("canary@x.example", "Liddell", token)
		for _, header := range heard.headers() {
			for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
				if header.Get(name) != "" {
					t.Errorf("the service receives %s", name)
				}
			}
		}
	})
}

// TestTraceOfAFailure checks the error of the exchange, and a span for each attempt.
func TestTraceOfAFailure(t *testing.T) {
	r := newReceiver(t)
	fake := newHuma(t, sandbox.Config{})
	if err := fake.SetFaults([]sandbox.Fault{{Status: 503, Body: "CANARY"}}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, humaService.tracedSite(fake, ""))
	c := newTrace(100)
	s.request("GET", iosPath, as("canary@x.example"), c.header()).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	attempt := "    huma signin http.response.status_code=503 error.type=error (error)"
	r.wantTrace(c, "request", "  exchange error.type=upstream_unavailable (upstream_unavailable)", attempt, attempt)
	r.wantNone("canary@x.example")
}

// TestTraceOfWaitingRequests checks that an exchange belongs to the trace of the first
// request, and that the traces of the waiting requests link to it.
func TestTraceOfWaitingRequests(t *testing.T) {
	r := newReceiver(t)
	fake := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	if err := fake.SetFaults([]sandbox.Fault{{Delay: 500 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, humaService.tracedSite(fake, ""))
	const callers = 5
	s.concurrently(iosPath, callers, func(i int) []func(*http.Request) {
		return []func(*http.Request){as("a@x.example"), newTrace(200 + i).header()}
	})
	var exchange *otlp.Span
	var links []*otlp.Span_Link
	for i := range callers {
		spans := r.waitSpans(newTrace(200+i), 2)
		if i := slices.IndexFunc(spans, func(s *otlp.Span) bool { return s.GetName() == "huma signin" }); i >= 0 && len(spans) < 3 {
			spans = r.waitSpans(newTrace(200+i), 3) // the exchange, whose span ends after that of its call
		}
		switch spans[1].GetName() {
		case "exchange":
			if exchange != nil {
				t.Error("two exchanges")
			}
			exchange = spans[1]
		case "wait for a running exchange":
			links = append(links, spans[1].GetLinks()...)
		default:
			t.Errorf("a span %s", spans[1].GetName())
		}
		if !bytes.Equal(spans[1].GetParentSpanId(), spans[0].GetSpanId()) {
			t.Error("the exchange is not below the span of the request")
		}
	}
	if exchange == nil || len(links) != callers-1 {
		t.Fatalf("exchange %v, %d links", exchange, len(links))
	}
	for _, l := range links {
		if !bytes.Equal(l.GetSpanId(), exchange.GetSpanId()) || !bytes.Equal(l.GetTraceId(), exchange.GetTraceId()) {
			t.Error("the link does not refer to the exchange")
		}
	}
}

// TestTraceOfACanceledRequest checks that the exchange and its trace continue.
func TestTraceOfACanceledRequest(t *testing.T) {
	r := newReceiver(t)
	fake := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	release := fake.block(t, "")
	s := serve(t, humaService.tracedSite(fake, ""))
	c := newTrace(300)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.tryRequest(ctx, "GET", iosPath, as("a@x.example"), c.header()); err == nil {
		t.Fatal("the request was not canceled")
	}
	release()
	r.wantTrace(c, "request", "  exchange caddy_huma.outcome=signed_in", "    huma signin")
}

// TestTraceUpstream checks that calls have traceparent of their own span and no other
// trace header, and none if the request has no trace.
func TestTraceUpstream(t *testing.T) {
	r := newReceiver(t)
	forBoth(t, func(t *testing.T, p service) {
		r.t = t
		fake := newHuma(t, sandbox.Config{})
		heard := recordCalls(t, fake)
		p.addUsers(fake, "a@x.example", "b@x.example")
		s := serve(t, p.tracedSite(fake, "trace_upstream on"))
		c := newTrace(400 + len(p.name))
		s.request("GET", p.target(), as("a@x.example"), c.header()).token(t, p)
		spans := r.waitSpans(c, 3)
		call := spans[2]
		want := "00-" + c.id + "-" + hex.EncodeToString(call.GetSpanId()) + "-01"
		if got := heard.headers(); len(got) != 1 || got[0].Get("Traceparent") != want || call.GetKind() != otlp.Span_SPAN_KIND_CLIENT {
			t.Errorf("headers %v, want Traceparent %s", got, want)
		}
		for _, name := range []string{"Tracestate", "Baggage"} {
			if got := heard.headers()[0].Get(name); got != "" {
				t.Errorf("%s is %q", name, got)
			}
		}
		if err := s.load(p.site(fake, "trace_upstream on")); err != nil { // without tracing
			t.Fatal(err)
		}
		s.request("GET", p.target(), as("b@x.example"), newTrace(500).header()).token(t, p)
		if got := heard.headers(); len(got) != 2 || got[1].Get("Traceparent") != "" {
			t.Errorf("headers %v", got)
		}
	})
}

// TestTraceOfOthers checks the spans of the shared store and of the userinfo request.
func TestTraceOfOthers(t *testing.T) {
	r := newReceiver(t)
	redis := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{Users: []string{"a@x.example"}})
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Traceparent") != "" {
			t.Error("the application receives the trace context")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"email":"a@x.example","name":"CANARY"}`)
	}))
	t.Cleanup(application.Close)
	s := serve(t, "SITE {\ntracing {\nspan request\n}\nhuma_token {\n"+fake.credentials()+"\nuserinfo "+application.URL+" {\nemail email\n}\n"+
		withRedis(redis, "1m", "")+"\n}\n}")
	s.waitShared(1)
	c := newTrace(600)
	s.request("GET", iosPath, header("Cookie", "sid=CANARY"), c.header()).tokens(t)
	r.wantTrace(c, "request", "  userinfo http.response.status_code=200", "  exchange caddy_huma.outcome=signed_in",
		"    read from the shared store", "    huma signin", "    write to the shared store")
	r.wantNone("a@x.example")
}
