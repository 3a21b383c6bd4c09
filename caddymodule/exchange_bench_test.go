package caddymodule_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// BenchmarkExchange measures a whole handler without cached tokens, for users that the
// service knows (one call, the sign-in) and for users that it does not know (two calls,
// also the sign-up). The service runs in the same process, over loopback, and all figures
// include its time. For comparison, a plain HTTP client makes the same sign-in call.
//
//	go test ./caddymodule -run '^$' -bench 'Exchange$'
func BenchmarkExchange(b *testing.B) {
	for _, way := range newExchangeBench(b).workloads() {
		b.Run(way.name, func(b *testing.B) { timed(b, way.prepare, way.do) })
	}
}

// BenchmarkExchangeRatios measures the same in short alternating rounds and reports the
// ratios of the medians: a sign-in compared with one plain call, and a sign-up compared
// with two.
//
//	go test ./caddymodule -run '^$' -bench ExchangeRatios -benchtime 1x
func BenchmarkExchangeRatios(b *testing.B) {
	const rounds, exchanges = 15, 100
	ways := newExchangeBench(b).workloads()
	for b.Loop() {
		took := make(map[string][]float64)
		for range rounds {
			for _, way := range ways {
				way.prepare(exchanges)
				start := time.Now()
				for range exchanges {
					way.do()
				}
				took[way.name] = append(took[way.name], float64(time.Since(start)))
			}
		}
		call := median(took["bare_call"])
		b.ReportMetric(median(took["known_user"])/call, "x_call")
		b.ReportMetric(median(took["unknown_user"])/call/2, "x_2_calls")
		b.ReportMetric(0, "ns/op") // meaningless here
	}
}

// exchangeBench holds a handler, its service, and users without a token.
type exchangeBench struct {
	b        *testing.B
	service  *sandbox.Server
	signIn   func() // the call of the handler's sign-in
	handler  *humatoken.HumaToken
	w        *sink
	users    int
	requests []*http.Request
}

// newExchangeBench starts a service and a handler with minimal overhead for sign-ins and
// sign-ups.
func newExchangeBench(b *testing.B) *exchangeBench {
	const room = 1_000_000
	x := &exchangeBench{b: b, service: sandbox.New(sandbox.Config{}), handler: benchHuma(room), w: newSink()}
	var seen *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen == nil {
			seen = r.Clone(r.Context())
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		x.service.ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	x.handler.API, x.handler.DeploymentID = server.URL, "d1"
	x.handler.Registration = &humatoken.Registration{Rate: "1000000/s", Burst: room}
	b.Cleanup(begin(b, x.handler))
	x.addKnown(1)
	x.serveNext()
	x.signIn = bareCall(b, server.URL+seen.RequestURI, seen.Header, body)
	return x
}

// workload is an operation to measure.
type workload struct {
	name    string
	prepare func(n int)
	do      func()
}

func (x *exchangeBench) workloads() []workload {
	return []workload{
		{"known_user", x.addKnown, x.serveNext},
		{"unknown_user", x.addUnknown, x.serveNext},
		{"bare_call", func(int) {}, x.signIn},
	}
}

// addUnknown adds requests of n users that the service does not know.
func (x *exchangeBench) addUnknown(n int) {
	for range n {
		x.users++
		x.requests = append(x.requests, benchRequest(x.w, x.users))
	}
}

// addKnown adds requests of n users that the service knows.
func (x *exchangeBench) addKnown(n int) {
	for i := range n {
		x.service.AddUser(benchUser(x.users + i + 1))
	}
	x.addUnknown(n)
}

// serveNext handles the next request.
func (x *exchangeBench) serveNext() {
	mustServe(x.b, x.handler, x.w, x.requests[0])
	x.requests = x.requests[1:]
}

// bareCall returns a function that sends a request with an http.Client and reads the
// response.
func bareCall(b *testing.B, url string, header http.Header, body []byte) func() {
	client := &http.Client{Transport: new(http.Transport)}
	b.Cleanup(client.CloseIdleConnections)
	return func() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header = header
		res, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("status %d, %v", res.StatusCode, err)
		}
	}
}
