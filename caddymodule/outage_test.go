package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/faultproxy"
)

// The tests in this file check the responses while the service or the network fails.
// cmd/soak does the same for minutes and at high rates.

// faultyService is a sandbox behind a proxy that injects faults.
type faultyService struct {
	*fakeHuma
	proxy *faultproxy.Proxy
}

// newFaultyService starts a sandbox behind a proxy without a fault.
func newFaultyService(t testing.TB, cfg sandbox.Config) *faultyService {
	t.Helper()
	huma := newHuma(t, cfg)
	proxy, err := faultproxy.New(strings.TrimPrefix(huma.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	return &faultyService{&fakeHuma{Server: huma.Server, URL: "http://" + proxy.Addr(), blocker: huma.blocker}, proxy}
}

// setFault sets the fault of the proxy.
func (l *faultyService) setFault(t testing.TB, f faultproxy.Fault) {
	t.Helper()
	if err := l.proxy.Set(f); err != nil {
		t.Fatal(err)
	}
}

// countCodes counts responses by status and code, and checks the error responses.
func countCodes(t testing.TB, responses []*response) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, a := range responses {
		if a.StatusCode == http.StatusOK {
			counts["200"]++
			continue
		}
		var v struct{ Code string }
		_ = json.Unmarshal(a.Body, &v)
		a.problem(t, a.StatusCode, v.Code)
		counts[fmt.Sprintf("%d %s", a.StatusCode, v.Code)]++
	}
	return counts
}

// user signs a request in as the nth user.
func user(n int) []func(*http.Request) {
	return []func(*http.Request){as(fmt.Sprintf("user%d@x.example", n))}
}

// TestH01_ConnectionsAreRefused checks that every request gets a 503 response, and that
// no connection is tried once the breaker is open.
func TestH01_ConnectionsAreRefused(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		l := newFaultyService(t, sandbox.Config{})
		l.setFault(t, faultproxy.Fault{Kind: faultproxy.Refuse})
		s := serve(t, p.site(l.fakeHuma, "breaker {\nopen 1m\n}"))
		responses := s.concurrently(p.target(), 500, user)
		for code, n := range countCodes(t, responses) {
			if code != "503 upstream_unavailable" {
				t.Errorf("%d × %s", n, code)
			}
		}
		eventually(t, 5*time.Second, "the breaker opens", func() bool { return len(s.warnings("circuit breaker opened")) > 0 })

		l.setFault(t, faultproxy.Fault{}) // count the connections
		responses = s.concurrently(p.target(), 500, func(n int) []func(*http.Request) { return user(500 + n) })
		if got := countCodes(t, responses); got["503 upstream_unavailable"] != 500 {
			t.Errorf("with an open breaker: %v", got)
		}
		if n := l.proxy.Stats().Accepted; n != 0 {
			t.Errorf("%d connections with an open breaker", n)
		}
		if n := p.users(l.fakeHuma); n != 0 {
			t.Errorf("%d accounts", n)
		}
	})
}

// TestH02_NoAnswer checks that a service that accepts connections and never responds
// occupies at most the configured number of connections and requests, and that the
// breaker opens.
func TestH02_NoAnswer(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		l := newFaultyService(t, sandbox.Config{})
		l.setFault(t, faultproxy.Fault{Kind: faultproxy.Hang})
		s := serve(t, p.site(l.fakeHuma, `
		timeout 1s
		attempt_timeout 300ms
		max_concurrent 8
		max_waiting 100
		breaker {
			failures 8
			open 1m
		}`))
		got := countCodes(t, s.concurrently(p.target(), 500, user))
		for code, n := range got {
			switch code {
			case "503 upstream_unavailable", "504 upstream_timeout", "503 overloaded":
			default:
				t.Errorf("%d × %s", n, code)
			}
		}
		if got["503 overloaded"] == 0 { // 500 concurrent requests, of which at most 108 may run or wait
			t.Errorf("no request was rejected: %v", got)
		}
		before := l.proxy.Stats()
		if before.Accepted > 8*3 { // a call that times out closes its connection, and the next one opens another
			t.Errorf("%d connections", before.Accepted)
		}
		// 500 concurrent requests still exceed the limit for a moment.
		if got := countCodes(t, s.concurrently(p.target(), 500, user)); got["503 upstream_unavailable"]+got["503 overloaded"] != 500 {
			t.Errorf("with an open breaker: %v", got)
		}
		if after := l.proxy.Stats(); after.Accepted != before.Accepted || after.Requests != before.Requests {
			t.Errorf("calls with an open breaker: %+v, then %+v", before, after)
		}
	})
}

// TestH03_CachedUsers checks that cached tokens are served while the service is down,
// until they expire, but not for requests with no-cache.
func TestH03_CachedUsers(t *testing.T) {
	forBothParallel(t, func(t *testing.T, p service, serve func(text string) *site) {
		l := newFaultyService(t, sandbox.Config{})
		p.addUsers(l.fakeHuma, "a@x.example", "b@x.example")
		s := serve(p.site(l.fakeHuma, "cache 1500ms\nno_cache honor\nretries 0\nbreaker off"))
		first := s.request("GET", p.target(), as("a@x.example")).token(t, p)
		s.request("GET", p.target(), as("b@x.example")).token(t, p)
		l.setFault(t, faultproxy.Fault{Kind: faultproxy.Refuse})

		if again := s.request("GET", p.target(), as("a@x.example")).token(t, p); again != first {
			t.Error("the token was not cached")
		}
		noCache := header("Cache-Control", "no-cache")
		s.request("GET", p.target(), as("b@x.example"), noCache).problem(t, 503, "upstream_unavailable")
		s.request("GET", p.target(), as("b@x.example"), noCache).problem(t, 503, "upstream_unavailable")
		eventually(t, 20*time.Second, "the cached token has expired", func() bool {
			a := s.request("GET", p.target(), as("a@x.example"))
			if a.StatusCode == http.StatusOK {
				if a.token(t, p) != first {
					t.Fatal("the token changed while it was cached")
				}
				return false
			}
			a.problem(t, 503, "upstream_unavailable")
			return true
		})
		l.setFault(t, faultproxy.Fault{})
		if next := s.request("GET", p.target(), as("a@x.example")).token(t, p); next == first {
			t.Error("the expired token was served")
		}
	})
}

// TestH04_Recovery checks that the first token is issued within the open time of the
// breaker and a second, and that waiting requests do not overload the service.
func TestH04_Recovery(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		const open = 300 * time.Millisecond
		l := newFaultyService(t, sandbox.Config{})
		l.setFault(t, faultproxy.Fault{Kind: faultproxy.Refuse})
		s := serve(t, p.site(l.fakeHuma, "retries 0\nmax_concurrent 16\nbreaker {\nopen 300ms\n}"))
		for n := 0; len(s.warnings("circuit breaker opened")) == 0; n += 50 {
			if n > 5000 {
				t.Fatal("the breaker does not open")
			}
			s.concurrently(p.target(), 50, func(i int) []func(*http.Request) { return user(n + i) })
		}
		l.setFault(t, faultproxy.Fault{})
		l.SetFaults([]sandbox.Fault{{Delay: 20 * time.Millisecond}})
		recovered := time.Now()
		tokens := 0
		for round := 0; tokens < 200; round++ {
			if time.Since(recovered) > 20*time.Second {
				t.Fatalf("%d tokens", tokens)
			}
			got := countCodes(t, s.concurrently(p.target(), 100, func(i int) []func(*http.Request) { return user(10000 + round*100 + i) }))
			if tokens == 0 && got["200"] > 0 {
				if after := time.Since(recovered); after > open+time.Second+10*time.Second { // tolerance for slow machines; cmd/soak measures it
					t.Errorf("first token after %s", after)
				}
			}
			tokens += got["200"]
			if got["200"]+got["503 upstream_unavailable"] != 100 {
				t.Errorf("%v", got)
			}
		}
		if calls := l.Calls(); calls.MaxInFlight > 16 || calls.Connections > 32 {
			t.Errorf("%d concurrent calls, %d connections", calls.MaxInFlight, calls.Connections)
		}
		if len(s.warnings("circuit breaker opened")) != 1 || !strings.Contains(s.log(), "circuit breaker closed") {
			t.Errorf("the breaker opened %d times", len(s.warnings("circuit breaker opened")))
		}
	})
}

// TestH06_TooManyRequestsIsNoOutage checks that Retry-After of a 429 response is passed
// on, and that the breaker does not open.
func TestH06_TooManyRequestsIsNoOutage(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		fake.SetFaults([]sandbox.Fault{{Status: 429, Headers: http.Header{"Retry-After": {"17"}}}})
		s := serve(t, p.site(fake, "breaker {\nfailures 3\nopen 1m\n}"))
		for _, a := range s.concurrently(p.target(), 50, user) {
			a.problem(t, 503, "upstream_unavailable")
			if got := a.Header.Get("Retry-After"); got != "17" {
				t.Errorf("Retry-After %q, want 17", got)
			}
		}
		p.wantCalls(t, fake, 50, 0) // 17 s is too long for a retry
		fake.SetFaults(nil)
		s.request("GET", p.target(), user(100)...).token(t, p)
		if w := s.warnings("breaker"); len(w) != 0 {
			t.Errorf("%q", w)
		}
	})
}

// TestH07_EndlessResponses checks that a call ends in time, and that a long body is not
// read to the end.
func TestH07_EndlessResponses(t *testing.T) {
	const limits = "attempt_timeout 500ms\ntimeout 3s"
	forBoth(t, func(t *testing.T, p service) {
		for name, fault := range map[string]sandbox.Fault{
			"endless":   {Op: p.first, Status: 200, Body: p.successBody("canary", "3600"), Size: -1},
			"10 MB":     {Op: p.first, Status: 200, Body: p.successBody("canary", "3600"), Size: 10 << 20},
			"gzip bomb": {Op: p.first, Status: 200, Body: p.successBody("canary", "3600"), Size: 10 << 20, Gzip: true},
		} {
			t.Run(name, func(t *testing.T) {
				fake := newHuma(t, sandbox.Config{})
				p.addUsers(fake, "a@x.example")
				fake.SetFaults([]sandbox.Fault{fault})
				s := serve(t, p.site(fake, limits))
				a := s.request("GET", p.target(), as("a@x.example"))
				if a.StatusCode == 504 && name != "endless" { // packing 10 MB takes too long on a slow machine
					a.problem(t, 504, "upstream_timeout")
				} else {
					a.problem(t, 502, "upstream_bad_response")
					p.wantCalls(t, fake, 1, 0) // not retried
				}
				s.noSecretsInLog("canary", "@x.example", "sandbox-secret")
				fake.SetFaults(nil)
				s.request("GET", p.target(), as("a@x.example")).token(t, p)
			})
		}
	})
	slow := map[string]func(t *testing.T, p service, serve func(text string) *site){
		"a drip": func(t *testing.T, p service, serve func(text string) *site) {
			fake := newHuma(t, sandbox.Config{})
			p.addUsers(fake, "a@x.example")
			fake.SetFaults([]sandbox.Fault{{Drip: time.Second}})
			s := serve(p.site(fake, limits))
			s.request("GET", p.target(), as("a@x.example")).problem(t, 504, "upstream_timeout")
			fake.SetFaults(nil)
			s.request("GET", p.target(), as("a@x.example")).token(t, p)
		},
		"one byte at a time": func(t *testing.T, p service, serve func(text string) *site) {
			l := newFaultyService(t, sandbox.Config{})
			p.addUsers(l.fakeHuma, "a@x.example")
			s := serve(p.site(l.fakeHuma, limits))
			l.setFault(t, faultproxy.Fault{Slice: 1, Pause: 100 * time.Millisecond})
			s.request("GET", p.target(), as("a@x.example")).problem(t, 504, "upstream_timeout")
			l.setFault(t, faultproxy.Fault{Slice: 3}) // small chunks are accepted
			s.request("GET", p.target(), as("a@x.example")).token(t, p)
		},
	}
	casesForBothParallel(t, func(service) map[string]func(*testing.T, service, func(string) *site) { return slow },
		func(t *testing.T, p service, test func(*testing.T, service, func(string) *site), serve func(text string) *site) {
			test(t, p, serve)
		})
}

// TestH02_CanceledRequests checks that canceled requests leave no connections while the
// service hangs.
func TestH02_CanceledRequests(t *testing.T) {
	forBothParallel(t, func(t *testing.T, p service, serve func(text string) *site) {
		l := newFaultyService(t, sandbox.Config{})
		l.setFault(t, faultproxy.Fault{Kind: faultproxy.Hang})
		// An attempt that is canceled while it connects leaves its connection to later
		// attempts, so the timeout is long enough to connect on a busy machine.
		s := serve(p.site(l.fakeHuma, "timeout 3s\nattempt_timeout 2s\nretries 0"))
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				_, _ = s.tryRequest(ctx, "GET", p.target(), user(n)...)
			})
		}
		wg.Wait()
		eventually(t, 10*time.Second, "all connections are closed", func() bool { return l.proxy.Stats().Open == 0 })
		l.setFault(t, faultproxy.Fault{})
	})
}
