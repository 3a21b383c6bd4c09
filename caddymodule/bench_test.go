package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
)

// The benchmarks of this package share the following: handlers that are provisioned as
// Caddy does it, with cached users, and requests as Caddy's server passes them to
// handlers.

// benchUsers lists the numbers of cached users.
var benchUsers = []int{1_000, 20_000}

// benchHeader is the header that identifies the user.
const benchHeader = "Remote-User"

// benchUser returns a user address of typical length.
func benchUser(i int) string { return fmt.Sprintf("patient.number.%d@clinic.example", i) }

// benchCommon returns the part of the config that both directives have.
func benchCommon(users int) config.Common {
	return config.Common{
		Trust: &config.Trust{Mode: config.TrustProxies, Ranges: []string{"127.0.0.1"}},
		Cache: &config.Cache{TTL: caddy.Duration(time.Hour), MaxEntries: users},
	}
}

// benchHuma returns a huma_token whose cache has room for the given number of users. It
// does not share the cache with another handler.
func benchHuma(users int) *humatoken.HumaToken {
	common := benchCommon(users)
	common.Identity = &config.Identity{Email: benchHeader, Name: "Remote-Name"}
	return &humatoken.HumaToken{
		API: "http://127.0.0.1:1", ProjectID: "p1", DeploymentID: fmt.Sprint("d", users),
		ClientID: humatoken.ClientIDs{"ios": "c1", "android": "c2", "web": "c3"}, Secret: "sandbox-secret",
		Common: common,
	}
}

// module is a handler with the interfaces of Caddy's module lifecycle.
type module interface {
	caddy.Provisioner
	caddy.CleanerUpper
	caddyhttp.MiddlewareHandler
}

// begin provisions and starts a handler. end stops its config; the handler still
// responds, as it does to requests that run during a reload.
func begin(t testing.TB, h module) (end func()) {
	t.Helper()
	config, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(config)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	events, err := ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	events.(*caddyevents.App).Emit(ctx, "started", nil)
	return func() {
		cancel()
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}

// fullHandler returns a huma_token with cached tokens of the given number of users.
func fullHandler(t testing.TB, users int) caddyhttp.MiddlewareHandler {
	t.Helper()
	h := benchHuma(users)
	h.API = newBenchService(t)
	return fillCache(t, h, users)
}

// newBenchService starts a service that signs in every user, with tokens of typical
// length, and returns its address.
func newBenchService(t testing.TB) string {
	text := strings.Repeat("x", 300)
	body, _ := json.Marshal(map[string]any{
		"uid": "0123456789abcdef01234567", "authToken": text, "authTokenExpiresIn": 3600, "refreshToken": text, "expiresIn": 86400,
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// fillCache provisions a handler and makes a request for each user.
func fillCache(t testing.TB, h module, users int) caddyhttp.MiddlewareHandler {
	t.Helper()
	t.Cleanup(begin(t, h))
	var wg sync.WaitGroup
	const callers = 16
	for first := range callers {
		wg.Go(func() {
			w := newSink()
			for user := first; user < users; user += callers {
				if h.ServeHTTP(w, benchRequest(w, user), nil) != nil || w.status != http.StatusOK {
					t.Errorf("status %d: %s", w.status, w.body)
					return
				}
			}
		})
	}
	wg.Wait()
	return h
}

// sink is an http.ResponseWriter that keeps only the last response.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func newSink() *sink { return &sink{header: make(http.Header)} }

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(code int) { s.status = code }

func (s *sink) Write(b []byte) (int, error) {
	s.body = append(s.body[:0], b...)
	return len(b), nil
}

// benchServer is the server in the context of all requests.
var benchServer = new(caddyhttp.Server)

// benchTemplate is the request that all requests of a benchmark are copied from. Parsing
// each one would take ten times the memory.
var benchTemplate = func() *http.Request {
	r := httptest.NewRequest("GET", "/private/huma-token?client_type=ios", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	return r
}()

// benchRequest returns a request of a user, as Caddy's server passes it to a handler.
func benchRequest(w http.ResponseWriter, user int) *http.Request {
	r := benchTemplate.WithContext(context.Background())
	r.Header = http.Header{benchHeader: {benchUser(user)}}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, benchServer)
}

// benchBatch is the number of requests that are created in advance. It is small, so that
// they are in the CPU cache when they are handled, as real requests are.
const benchBatch = 32

// randomRequests returns n requests of random users.
func randomRequests(w http.ResponseWriter, n, users int) []*http.Request {
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = benchRequest(w, rand.IntN(users))
	}
	return requests
}

// mustServe handles a request and fails unless the response is a token.
func mustServe(t testing.TB, h caddyhttp.MiddlewareHandler, w *sink, r *http.Request) {
	clear(w.header)
	w.status = 0
	if err := h.ServeHTTP(w, r, nil); err != nil || w.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.status, err, w.body)
	}
}

// staticResponse returns Caddy's respond handler with the same response as h.
func staticResponse(t testing.TB, h caddyhttp.MiddlewareHandler) caddyhttp.StaticResponse {
	w := newSink()
	mustServe(t, h, w, benchRequest(w, 1))
	return caddyhttp.StaticResponse{StatusCode: "200", Headers: w.header.Clone(), Body: string(w.body)}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
