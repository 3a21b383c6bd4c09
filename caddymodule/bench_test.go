package caddymodule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// What the benchmarks of this package have in common: handlers as Caddy sets
// them up, with users in their memory, and requests as Caddy's server hands
// them on.

// benchUsers are the numbers of users that what depends on them is measured with.
var benchUsers = []int{1_000, 100_000, 1_000_000}

// benchHeader says who is asking.
const benchHeader = "Remote-User"

// benchUser is a user, by an address of a usual length.
func benchUser(i int) string { return fmt.Sprintf("patient.number.%d@clinic.example", i) }

// benchCommon is the part of a config that both directives have.
func benchCommon(users int) Common {
	return Common{
		Trust: &Trust{Mode: trustProxies, Ranges: []string{"127.0.0.1"}},
		Cache: &Cache{TTL: caddy.Duration(time.Hour), MaxEntries: users},
	}
}

// benchHuma is a huma_token with room for so many users. No other one shares its
// memory.
func benchHuma(users int) *HumaToken {
	common := benchCommon(users)
	common.Identity = &Identity{Email: benchHeader, Name: "Remote-Name"}
	return &HumaToken{
		API: "http://127.0.0.1:1", ProjectID: "p1", DeploymentID: fmt.Sprint("d", users),
		ClientID: ClientIDs{"ios": "c1", "android": "c2", "web": "c3"}, Secret: "sandbox-secret",
		Common: common,
	}
}

// benchHuman is the same of human_api_token.
func benchHuman(users int) *HumanAPIToken {
	common := benchCommon(users)
	common.Identity = &Identity{UserID: benchHeader}
	return &HumanAPIToken{API: "http://127.0.0.1:1", ClientID: fmt.Sprint("c", users), ClientSecret: "secret", Common: common}
}

// module is a handler as Caddy begins and ends it.
type module interface {
	caddy.Provisioner
	caddy.CleanerUpper
}

// begin sets a handler up in a config that runs. end is the config's end: the
// handler still answers, as it does those whom a reload finds halfway.
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

// benched is a handler and the keys of users whose tokens it has.
type benched struct {
	*endpoint
	keys []exchange.UserKey
}

// benchGrant has tokens of a usual length.
func benchGrant(i int) *exchange.Grant {
	token := strings.Repeat("x", 300)
	return exchange.NewGrant(time.Now()).
		Text("uid", fmt.Sprintf("%024d", i)).
		Text("authToken", token).Lifetime("authTokenExpiresIn", time.Hour).
		Text("refreshToken", token).Lifetime("refreshTokenExpiresIn", 24*time.Hour).Lifetime("expiresIn", 24*time.Hour).
		Grant()
}

// identified is a request whose user and kind of token are known.
func identified(t testing.TB, e *endpoint, r *http.Request) (*request, exchange.UserKey) {
	q := newRequest(e, r)
	var err error
	if q.user, err = e.identity.Identify(r.Context(), &q.asked); err != nil {
		t.Fatal(err)
	}
	kind, _, bad := q.creds.tokens.kind(r)
	if bad != "" {
		t.Fatal(bad)
	}
	q.kind = q.variant(kind)
	return &q, q.creds.users.key(q.user)
}

// fill gives so many users tokens that stay during a benchmark.
func fill(t testing.TB, e *endpoint, users int) benched {
	r := benchRequest(newSink(), 0)
	b := benched{e, make([]exchange.UserKey, users)}
	for i := range b.keys {
		r.Header[benchHeader][0] = benchUser(i)
		_, b.keys[i] = identified(t, e, r)
	}
	b.put(t, func(int) time.Duration { return time.Hour })
	return b
}

// put gives all users tokens that are kept for so long.
func (b benched) put(t testing.TB, life func(user int) time.Duration) {
	q, _ := identified(t, b.endpoint, benchRequest(newSink(), 0))
	rec := exchange.Record{Grant: benchGrant(0)}
	for i, key := range b.keys {
		rec.Until = time.Now().Add(life(i))
		b.policy.Cache.Put(key, q.kind, rec)
	}
}

// full are handlers with so many users, kept from one benchmark to the next: a
// million users take seconds to make.
var full = make(map[int]benched)

// fullHandler is a huma_token with tokens of so many users in its memory. Its
// config has ended, and so has the sweep of its memory.
func fullHandler(t testing.TB, users int) benched {
	t.Helper()
	if b, ok := full[users]; ok {
		return b
	}
	h := benchHuma(users)
	end := begin(t, h)
	full[users] = fill(t, &h.endpoint, users)
	end()
	return full[users]
}

// sink is a response writer that keeps nothing but the last answer.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func newSink() *sink { return &sink{header: make(http.Header)} }

func (s *sink) Header() http.Header  { return s.header }
func (s *sink) WriteHeader(code int) { s.status = code }
func (s *sink) Write(b []byte) (int, error) {
	s.body = append(s.body[:0], b...)
	return len(b), nil
}

// benchServer is the server that requests come from.
var benchServer = new(caddyhttp.Server)

// benchArrived is what requests have in common. Reading each from a text would take
// the memory of ten.
var benchArrived = func() *http.Request {
	r := httptest.NewRequest("GET", "/private/huma-token?client_type=ios", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	return r
}()

// benchRequest is a request of a user, as Caddy's server hands it to a handler.
func benchRequest(w http.ResponseWriter, user int) *http.Request {
	r := benchArrived.WithContext(context.Background())
	r.Header = http.Header{benchHeader: {benchUser(user)}}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, benchServer)
}

// benchBatch is how many requests are made aside at once: few, because real ones have
// just been made when they are handled, so they are in the processor's cache.
const benchBatch = 32

// random are requests of n random users of so many.
func random(w http.ResponseWriter, n, users int) []*http.Request {
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = benchRequest(w, rand.IntN(users))
	}
	return requests
}

// asked makes one request of a user, who has to get a token.
func asked(t testing.TB, h caddyhttp.MiddlewareHandler, w *sink, r *http.Request) {
	clear(w.header)
	w.status = 0
	if err := h.ServeHTTP(w, r, nil); err != nil || w.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.status, err, w.body)
	}
}

// respondsThe is Caddy's respond with the answer that a handler gives.
func respondsThe(t testing.TB, h caddyhttp.MiddlewareHandler) caddyhttp.StaticResponse {
	w := newSink()
	asked(t, h, w, benchRequest(w, 1))
	return caddyhttp.StaticResponse{StatusCode: "200", Headers: w.header.Clone(), Body: string(w.body)}
}

// timed measures do and nothing else: prepare makes so much of it possible. The
// benchmark's own clock and counters are not stopped and started for that, because
// they look at the memory then, and what follows is slow.
func timed(b *testing.B, prepare func(n int), do func()) {
	var took time.Duration
	var since time.Time
	ready := 0
	for b.Loop() {
		if ready == 0 {
			if !since.IsZero() {
				took += time.Since(since)
			}
			prepare(benchBatch)
			ready, since = benchBatch, time.Now()
		}
		do()
		ready--
	}
	took += time.Since(since)
	b.ReportMetric(float64(took)/float64(b.N), "ns/op")
	reportAllocations(b, prepare, do)
}

// reportAllocations counts what do allocates, in this process as a whole.
func reportAllocations(b *testing.B, prepare func(n int), do func()) {
	const n = 200
	prepare(n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		do()
	}
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/op")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/op")
}

// timedAsking is timed for requests that next makes.
func timedAsking(b *testing.B, h caddyhttp.MiddlewareHandler, next func(w http.ResponseWriter) *http.Request) {
	w := newSink()
	var requests []*http.Request
	timed(b, func(n int) {
		for range n {
			requests = append(requests, next(w))
		}
	}, func() {
		asked(b, h, w, requests[0])
		requests = requests[1:]
	})
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
