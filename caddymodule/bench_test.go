package caddymodule

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// benchEmail is the address of a user.
func benchEmail(i int) string { return fmt.Sprintf("patient.number.%d@clinic.example", i) }

// benchHandler is a handler that has tokens of so many users in its cache.
func benchHandler(t testing.TB, users int) *HumaToken {
	t.Helper()
	h := &HumaToken{
		API: "http://127.0.0.1:1", ProjectID: "p1", DeploymentID: fmt.Sprint("d", users),
		ClientID: ClientIDs{"ios": "c1", "android": "c2", "web": "c3"}, Secret: "secret",
		Common: Common{
			Identity: &Identity{Email: "Remote-Email", Name: "Remote-Name"},
			Trust:    &Trust{Mode: trustProxies, Ranges: []string{"127.0.0.1"}},
			Cache:    &Cache{TTL: caddy.Duration(time.Hour), MaxEntries: users},
		},
	}
	config, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(config)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	for i := range users {
		key := h.current.Load().users.key(identity.User{Email: masked.New(benchEmail(i))})
		h.policy.Cache.Put(key, "c1", exchange.Record{Grant: benchGrant(i), Until: time.Now().Add(time.Hour)})
	}
	return h
}

// benchGrant has tokens of a usual length.
func benchGrant(i int) *exchange.Grant {
	token := fmt.Sprintf("%0300d", i)
	return exchange.NewGrant(time.Now()).
		Text("uid", fmt.Sprintf("%024d", i)).
		Text("authToken", token).Lifetime("authTokenExpiresIn", time.Hour).
		Text("refreshToken", token).Lifetime("refreshTokenExpiresIn", 24*time.Hour).Lifetime("expiresIn", 24*time.Hour).
		Grant()
}

// sink is a response writer that keeps nothing but the last answer.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func (s *sink) Header() http.Header  { return s.header }
func (s *sink) WriteHeader(code int) { s.status = code }
func (s *sink) Write(b []byte) (int, error) {
	s.body = append(s.body[:0], b...)
	return len(b), nil
}

// benchServer is the server that requests come from.
var benchServer = new(caddyhttp.Server)

// benchRequest is a request of a user, as Caddy's server hands it to a handler.
func benchRequest(w http.ResponseWriter, user int) *http.Request {
	r := httptest.NewRequest("GET", "/private/huma-token?client_type=ios", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header["Remote-Email"] = []string{benchEmail(user)}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, benchServer)
}

// benchBatch is how many requests are made aside at once: few, because real ones have
// just been made when they are handled, so they are in the processor's cache.
const benchBatch = 32

// benchRequests are so many requests of random users.
func benchRequests(w http.ResponseWriter, n, users int) []*http.Request {
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = benchRequest(w, rand.IntN(users))
	}
	return requests
}

// asked makes one request of a user, who has to get a token from the cache.
func asked(t testing.TB, h caddyhttp.MiddlewareHandler, w *sink, r *http.Request) {
	clear(w.header)
	w.status = 0
	if err := h.ServeHTTP(w, r, nil); err != nil || w.status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.status, err, w.body)
	}
}

// BenchmarkHit compares an answer from the cache with Caddy's respond of the
// same bytes and headers, and with more users in the cache.
//
//	go test ./caddymodule -run '^$' -bench Hit -benchmem
func BenchmarkHit(b *testing.B) {
	for _, users := range []int{1_000, 100_000, 1_000_000} {
		h := benchHandler(b, users)
		b.Run(fmt.Sprintf("huma_token/users=%d", users), func(b *testing.B) { benchHit(b, h, users) })
		if users > 1_000 {
			continue
		}
		w := &sink{header: make(http.Header)}
		asked(b, h, w, benchRequest(w, 1))
		static := caddyhttp.StaticResponse{StatusCode: "200", Headers: w.header.Clone(), Body: string(w.body)}
		b.Run("respond", func(b *testing.B) { benchHit(b, static, users) })
	}
}

// benchHit asks for random users.
func benchHit(b *testing.B, h caddyhttp.MiddlewareHandler, users int) {
	w := &sink{header: make(http.Header)}
	var batch []*http.Request
	b.ReportAllocs()
	for b.Loop() {
		if len(batch) == 0 {
			b.StopTimer()
			batch = benchRequests(w, benchBatch, users)
			b.StartTimer()
		}
		asked(b, h, w, batch[0])
		batch = batch[1:]
	}
}

// BenchmarkHitRatios measures the same in short alternating rounds, so that
// whatever else the machine does falls on all alike, and reports the ratios of
// the medians: x_respond is a hit against respond, x_1k is a hit among a million
// users against one among a thousand.
//
//	go test ./caddymodule -run '^$' -bench HitRatios -benchtime 1x
func BenchmarkHitRatios(b *testing.B) {
	const rounds, requests = 15, 20_000
	thousand, million := benchHandler(b, 1_000), benchHandler(b, 1_000_000)
	w := &sink{header: make(http.Header)}
	asked(b, thousand, w, benchRequest(w, 1))
	static := caddyhttp.StaticResponse{StatusCode: "200", Headers: w.header.Clone(), Body: string(w.body)}

	round := func(h caddyhttp.MiddlewareHandler, users int) float64 {
		var took time.Duration
		for range requests / benchBatch {
			batch := benchRequests(w, benchBatch, users)
			start := time.Now()
			for _, r := range batch {
				asked(b, h, w, r)
			}
			took += time.Since(start)
		}
		return float64(took) / requests
	}
	for b.Loop() {
		var respond, few, many []float64
		for range rounds {
			respond = append(respond, round(static, 1_000))
			few = append(few, round(thousand, 1_000))
			many = append(many, round(million, 1_000_000))
		}
		b.ReportMetric(median(few)/median(respond), "x_respond")
		b.ReportMetric(median(many)/median(few), "x_1k")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
