package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestH05_RetryAfter(t *testing.T) {
	soon := time.Now().Add(50 * time.Second).UTC().Format(http.TimeFormat)
	type wait struct {
		header    string
		calls     int // with one retry
		responses [2]int
	}
	casesForBothParallel(t, func(service) map[string]wait {
		return map[string]wait{
			"short":   {"1", 2, [2]int{1, 1}},
			"long":    {"86400", 1, [2]int{60, 60}},
			"a while": {"30", 1, [2]int{30, 30}},
			"a date":  {soon, 1, [2]int{1, 51}},
			"wrong":   {"-1", 2, [2]int{1, 60}},
			"garbage": {"soon", 2, [2]int{1, 60}},
		}
	}, func(t *testing.T, p service, c wait, serve func(text string) *site) {
		fake := newHuma(t, sandbox.Config{})
		must(t, fake.SetFaults([]sandbox.Fault{{Status: 503, Headers: http.Header{"Retry-After": {c.header}}}}))
		a := serve(p.site(fake, "")).request("GET", p.target(), as("a@x.example"))
		a.problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
		after, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if err != nil || after < c.responses[0] || after > c.responses[1] {
			t.Errorf("Retry-After %q, want %v", a.Header.Get("Retry-After"), c.responses)
		}
		p.wantCalls(t, fake, c.calls, 0)
	})
}

func TestH08_InvalidResponses(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, ""))
		for name, body := range map[string]string{
			"HTML":       "<html>canary</html>",
			"null":       "null",
			"list":       "[]",
			"empty":      "{}",
			"no token":   `{"uid":"u","TOKEN":""}`,
			"null token": `{"uid":"u","TOKEN":null}`,
			"number":     `{"uid":"u","TOKEN":1}`,
			"other case": `{"uid":"u","` + strings.ToUpper(p.member) + `":"canary"}`,
			"another's":  `{"uid":"u","token":"canary","id_token":"canary"}`,
			"two values": `{"TOKEN":"canary"}{"TOKEN":"canary"}`,
			"BOM":        "\ufeff" + `{"TOKEN":"canary"}`,
			"nothing":    "",
			"too long":   `{"TOKEN":"` + strings.Repeat("canary", 20000) + `"}`,
		} {
			t.Run(name, func(t *testing.T) {
				fake.Reset()
				body = strings.ReplaceAll(body, "TOKEN", p.member)
				fake.SetFaults([]sandbox.Fault{{Op: p.first, Status: 200, Body: body, Times: 1}})
				a := s.request("GET", p.target(), as("a@x.example"))
				a.problem(t, http.StatusBadGateway, "upstream_bad_response")
				if strings.Contains(string(a.Body), "canary") {
					t.Errorf("the response contains the service's response: %s", a.Body)
				}
				p.wantCalls(t, fake, 1, 0)
				s.request("GET", p.target(), as("a@x.example")).token(t, p)
				s.request("DELETE", p.path, as("a@x.example"))
			})
		}
		s.noSecretsInLog("canary")
	})
}

func TestH09_RedirectsAreNotFollowed(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		var elsewhere atomic.Int64
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		defer other.Close()
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, ""))
		fake.SetFaults([]sandbox.Fault{{Redirect: other.URL + "/x"}})
		s.request("GET", p.target(), as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_bad_response")

		p.wantCalls(t, fake, 1, 0)

		p.requireBothCalls(t, fake, "b@x.example")
		fake.SetFaults([]sandbox.Fault{{Op: p.second, Redirect: other.URL + "/x"}})
		s.request("GET", p.target(), as("b@x.example")).problem(t, http.StatusBadGateway, "upstream_bad_response")
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("the other host saw %d requests", n)
		}
	})
}

func TestH14_CredentialsAreRejected(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		hint := map[string]string{"huma": "100006: Huma rejects the signature, or a header with a secret (options secret, signature and header_up)", "human_api": "(options client_id and client_secret)"}[p.name]
		fake := newHuma(t, sandbox.Config{Secret: "another", HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "another"}}})
		s := serve(t, p.site(fake, ""))
		s.request("GET", p.target(), as("a@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
		if log := s.log(); !strings.Contains(log, `"level":"error"`) || !strings.Contains(log, hint) {
			t.Errorf("the log does not contain the hint: %s", log)
		}
		faults := credentialFaults(p)
		for i, fault := range faults {
			if err := fake.SetFaults([]sandbox.Fault{fault}); err != nil {
				t.Fatal(err)
			}
			s.request("GET", p.target(), as("b@x.example")).problem(t, http.StatusBadGateway, "upstream_config")
			p.wantCalls(t, fake, 2+i, 0) // neither retried nor followed by a call of the other type
		}
		eventually(t, 5*time.Second, "each error is logged, the first one at level ERROR", func() bool {
			return len(s.logLines(`"code":"upstream_config"`)) == 1+len(faults)
		})
		if first := s.logLines(`"code":"upstream_config"`)[0]; !strings.Contains(first, `"level":"error"`) || strings.Contains(first, `"hint"`) {
			t.Errorf("%s", first)
		}
		if w := s.warnings("breaker"); len(w) != 0 { // also if the status was 5xx
			t.Errorf("%q", w)
		}
	})
}

// credentialFaults returns the responses by which a service rejects the site's
// credentials, and not the user.
func credentialFaults(p service) (faults []sandbox.Fault) {
	if p.name == "huma" {
		return []sandbox.Fault{{Status: 403, Body: `{"code":100001,"message":"m"}`}, {Status: 403, Body: `{"code":100002,"message":"m"}`}}
	}
	faults = append(faults, sandbox.Fault{Op: p.first, Status: 401})
	for _, code := range configCodes {
		for _, shape := range codeShapes {
			for _, status := range []int{0, 400, 401, 403, 404, 429, 503} { // the code takes precedence over the status
				faults = append(faults, sandbox.Fault{Op: p.first, Code: code, Shape: shape, Status: status})
			}
		}
	}
	return faults
}

func TestH17_NoHeaderOfTheServiceIsPassedOn(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example")
		s := serve(t, p.site(fake, ""))
		headers := http.Header{
			"Set-Cookie": {"canary=1"}, "Access-Control-Allow-Origin": {"*"}, "Etag": {`"canary"`},
			"Cache-Control": {"public, max-age=3600"}, "X-Canary": {"canary"}, "Retry-After": {"7"},
		}
		for _, fault := range []sandbox.Fault{{Headers: headers}, {Status: 429, Headers: headers}, {Status: 401, Headers: headers}} {
			fake.SetFaults([]sandbox.Fault{fault})
			a := s.request("GET", p.target(), as("a@x.example"), header("Cache-Control", "no-cache"))
			a.noStore(t)
			for name := range a.Header {
				known := []string{"Cache-Control", "Content-Length", "Content-Type", "Date", "Pragma", "Retry-After", "Server", "Vary", "X-Content-Type-Options"}
				if !slices.Contains(known, name) {
					t.Errorf("status %d has the header %s", a.StatusCode, name)
				}
			}
			if strings.Contains(fmt.Sprint(a.Header), "canary") {
				t.Errorf("status %d: %v", a.StatusCode, a.Header)
			}
			s.request("DELETE", p.path, as("a@x.example"))
		}
	})
}

func TestOtherFailuresOfTheService(t *testing.T) {
	type failure struct {
		fault  sandbox.Fault
		status int
		code   string
		calls  int
	}
	casesForBothParallel(t, func(p service) map[string]failure {
		return map[string]failure{
			"429":         {sandbox.Fault{Status: 429}, 503, "upstream_unavailable", 2},
			"500":         {sandbox.Fault{Status: 500, Body: "<html>canary"}, 503, "upstream_unavailable", 1},
			"503":         {sandbox.Fault{Status: 503}, 503, "upstream_unavailable", 2},
			"404":         {sandbox.Fault{Status: 404}, 502, "upstream_rejected", 1},
			"422":         {sandbox.Fault{Status: 422}, 502, "upstream_rejected", 1},
			"no response": {sandbox.Fault{Delay: 5 * time.Second}, 504, "upstream_timeout", 2},
			"reset":       {sandbox.Fault{Reset: sandbox.ResetBefore}, 503, "upstream_unavailable", 2},
			"cut":         {sandbox.Fault{Op: p.first, Status: 200, Body: p.successBody("canary", "3600"), Truncate: 9}, 503, "upstream_unavailable", 2},
		}
	}, func(t *testing.T, p service, c failure, serve func(text string) *site) {
		fake := newHuma(t, sandbox.Config{})
		must(t, fake.SetFaults([]sandbox.Fault{c.fault}))
		s := serve(p.site(fake, "timeout 2s\nattempt_timeout 400ms\nbreaker off"))
		s.request("GET", p.target(), as("a@x.example")).problem(t, c.status, c.code)
		p.wantCalls(t, fake, c.calls, 0)
		s.noSecretsInLog("canary", "@x.example", "sandbox-secret")
	})
}

// TestH16_CanceledRequestsAreNoOutage checks that canceled requests to a slow service do
// not open the breaker.
func TestH16_CanceledRequestsAreNoOutage(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		fake.SetFaults([]sandbox.Fault{{Delay: 30 * time.Millisecond}})
		s := serve(t, p.site(fake, ""))
		for i := range 200 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
			_, _ = s.tryRequest(ctx, "GET", p.target(), as(fmt.Sprintf("u%d@x.example", i)))
			cancel()
		}
		fake.SetFaults(nil)
		s.request("GET", p.target(), as("stays@x.example")).token(t, p)
		eventually(t, 10*time.Second, "every exchange ends with a token", func() bool {
			return len(s.logLines("token issued")) == fake.calls(p.first)
		})
		if strings.Contains(s.log(), "circuit breaker opened") {
			t.Error("the breaker opened")
		}
	})
}

func TestOverloaded(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		for i := range 100 {
			p.requireBothCalls(t, fake, fmt.Sprintf("u%d@x.example", i))
		}
		release := fake.block(t, "")
		s := serve(t, p.site(fake, "max_concurrent 2\nmax_waiting 8"))
		responses := make(chan []*response)
		go func() {
			responses <- s.concurrently(p.target(), 100, func(i int) []func(*http.Request) {
				return []func(*http.Request){as(fmt.Sprintf("u%d@x.example", i))}
			})
		}()
		eventually(t, 20*time.Second, "the other requests are rejected", func() bool { return len(s.logLines("too many concurrent exchanges")) >= 90 })
		fake.waitBlocked(t, 2)
		_, most := fake.blocked()
		release()
		counts := make(map[int]int)
		for _, a := range <-responses {
			counts[a.StatusCode]++
			if a.StatusCode == http.StatusServiceUnavailable {
				a.problem(t, http.StatusServiceUnavailable, "overloaded")
			}
		}
		if counts[200] != 10 || counts[503] != 90 {
			t.Errorf("responses %v, want 10 and 90", counts)
		}
		if n := max(most, fake.Calls().MaxInFlight); n != 2 {
			t.Errorf("%d concurrent calls", n)
		}
	})
}
