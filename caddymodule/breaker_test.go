package caddymodule_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// newHumaFailing starts a sandbox that responds with 500 to each call for a user whose
// name contains "failing". It counts these calls.
func newHumaFailing(t *testing.T) (h *fakeHuma, failed *atomic.Int64) {
	t.Helper()
	s := sandbox.New(sandbox.Config{})
	failed = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(body, []byte("failing")) {
			failed.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return &fakeHuma{Server: s, URL: srv.URL}, failed
}

// TestF03OneFailingUserDoesNotOpenTheBreaker checks that calls that fail for only one or
// two users do not open the breaker, regardless of their number. If three users fail and
// no other user succeeds, the breaker opens.
func TestF03OneFailingUserDoesNotOpenTheBreaker(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake, failed := newHumaFailing(t)
		s := serve(t, p.site(fake, "breaker {\nfailures 5\nopen 1m\n}"))
		fails := func(user string) {
			t.Helper()
			s.request("GET", p.target(), as("failing-"+user+"@x.example")).problem(t, 503, "upstream_unavailable")
		}
		calls := func(what string, want int64) {
			t.Helper()
			if n := failed.Swap(0); n != want {
				t.Errorf("%s: %d calls, want %d", what, n, want)
			}
		}

		begin := time.Now()
		for i := range 8 { // 20 requests/s of one user, between the requests of all others
			time.Sleep(time.Until(begin.Add(time.Duration(i) * 50 * time.Millisecond)))
			fails("a")
			s.request("GET", p.target(), user(i)...).token(t, p)
		}
		calls("beside others", 8)
		for i := range 20 {
			fails([]string{"a", "b"}[i%2])
		}
		calls("two alone", 20)
		s.request("GET", p.target(), user(100)...).token(t, p)
		if w := s.warnings("circuit breaker opened"); len(w) != 0 {
			t.Fatalf("%q", w)
		}

		for i := range 20 {
			fails(fmt.Sprint(i % 3))
		}
		calls("three alone", 5)
		s.request("GET", p.target(), user(101)...).problem(t, 503, "upstream_unavailable")
		if w := s.warnings("circuit breaker opened"); len(w) != 1 {
			t.Errorf("the breaker opened %d times, want once", len(w))
		}
	})
}
