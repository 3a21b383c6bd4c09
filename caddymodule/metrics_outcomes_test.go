package caddymodule_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// outcomeCase is a test case: requests, the outcomes that they are counted with, and the
// calls to the service and sign-ups that they cause.
type outcomeCase struct {
	only    string // the name of the service, if the case is not for both
	more    string // further options
	faults  func(p service) []sandbox.Fault
	request func(m *metricsSite, p service)
	want    samples // by outcome

	// calls returns the expected samples of calls. If it is nil, calls and sign-ups are
	// not checked.
	calls   func(p service) samples
	signUps samples
}

// firstCalls returns the samples of results of the first call to a service.
func firstCalls(results samples) func(p service) samples {
	return func(p service) samples {
		want := make(samples)
		for result, n := range results {
			want[p.first+" "+p.name+" "+result] = n
		}
		return want
	}
}

// humaCalls returns the samples of calls to Huma, each written as "op result".
func humaCalls(want ...string) func(service) samples {
	return func(service) samples {
		all := make(samples)
		for _, w := range want {
			op, result, _ := strings.Cut(w, " ")
			all[op+" huma "+result]++
		}
		return all
	}
}

// signUpFault returns a function that injects the fault f into sign-ups.
func signUpFault(f sandbox.Fault) func(service) []sandbox.Fault {
	f.Op = sandbox.OpSignUp
	return faultOfAll(f)
}

// makeRequests returns a function that makes token requests one after the other.
func makeRequests(method string, edits ...[]func(*http.Request)) func(m *metricsSite, p service) {
	return func(m *metricsSite, p service) {
		for _, edit := range edits {
			_, _ = m.tryRequest(context.Background(), method, p.target(), edit...)
		}
	}
}

// faultOfAll returns a fault of all calls.
func faultOfAll(f sandbox.Fault) func(service) []sandbox.Fault {
	return func(service) []sandbox.Fault { return []sandbox.Fault{f} }
}

type edits = []func(*http.Request)

var known, unknown = edits{as("known@x.example")}, edits{as("unknown@x.example")}

// panicking is an option whose value panics for requests with the header X-Panic.
const panicking = "cache {\nvary {broken}\n}"

// cancelRequest makes a request and cancels it before the response.
func cancelRequest(m *metricsSite, p service) {
	before := len(m.logLines(`"outcome":"canceled"`))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, _ = m.tryRequest(ctx, "GET", p.target(), known...)
	eventually(m.t, 5*time.Second, "the server has detected the canceled request", func() bool {
		return len(m.logLines(`"outcome":"canceled"`)) > before
	})
}

// outcomeCases holds all outcomes of a request.
var outcomeCases = map[string]outcomeCase{
	"signed in":       {request: makeRequests("GET", known), want: samples{"signed_in": 1}},
	"POST":            {request: makeRequests("POST", known), want: samples{"signed_in": 1}},
	"registered":      {only: "huma", request: makeRequests("GET", unknown), want: samples{"registered": 1}, calls: humaCalls("signin refused", "signup ok"), signUps: samples{"created": 1}},
	"hits":            {request: makeRequests("GET", known, known, known), want: samples{"signed_in": 1, "hit": 2}, calls: firstCalls(samples{"ok": 1})},
	"past it":         {request: makeRequests("GET", known, append(edits{noCache}, known...)), want: samples{"signed_in": 2}},
	"evicted":         {request: makeRequests("DELETE", known), want: samples{"evicted": 1}},
	"unauthenticated": {request: makeRequests("GET", nil), want: samples{"rejected": 1}},
	"a list":          {request: makeRequests("GET", edits{as("a"), as("b")}), want: samples{"rejected": 1}},
	"cross-site":      {request: makeRequests("GET", append(edits{header("Sec-Fetch-Site", "cross-site")}, known...)), want: samples{"rejected": 1}},
	"PUT":             {request: makeRequests("PUT", known), want: samples{"rejected": 1}},
	"HEAD":            {request: makeRequests("HEAD", known), want: samples{"rejected": 1}},
	"OPTIONS":         {request: makeRequests("OPTIONS", known), want: samples{}},
	"errors go on":    {more: "errors caddy", request: makeRequests("GET", nil), want: samples{"rejected": 1}},
	"another path":    {request: func(m *metricsSite, _ service) { m.request("GET", "/other", known...) }, want: samples{}},
	"shared": {
		faults: faultOfAll(sandbox.Fault{Delay: 500 * time.Millisecond}),
		request: func(m *metricsSite, p service) {
			m.concurrently(p.target(), 5, func(int) []func(*http.Request) { return known })
		},
		want: samples{"signed_in": 1, "shared": 4},
	},
	"client type": {
		only:    "huma",
		request: func(m *metricsSite, p service) { m.request("GET", p.path+"?client_type=tv", known...) },
		want:    samples{"rejected": 1},
	},
	"no client type": {only: "huma", request: func(m *metricsSite, p service) { m.request("GET", p.path, known...) }, want: samples{"rejected": 1}},
	"not registered": {only: "huma", more: "registration off", request: makeRequests("GET", unknown, unknown), want: samples{"refused": 2}},
	"refused": {
		only:    "huma",
		faults:  faultOfAll(sandbox.Fault{Status: 403}),
		request: makeRequests("GET", unknown, unknown),
		want:    samples{"refused": 2},
	},
	"connect unavailable": {
		only: "human_api",
		faults: func(service) []sandbox.Fault {
			return []sandbox.Fault{{Op: sandbox.OpSession, Status: 403}, {Op: sandbox.OpID, Status: 403}}
		},
		request: makeRequests("GET", known),
		want:    samples{"refused": 1},
		calls:   func(service) samples { return samples{"session human_api refused": 1, "id human_api refused": 1} },
	},
	"the brake": {
		only:    "huma",
		more:    "registration {\nrate 1/h 1\n}",
		request: makeRequests("GET", edits{as("a@x.example")}, edits{as("b@x.example")}),
		want:    samples{"registered": 1, "limited": 1},
		calls:   humaCalls("signin refused", "signup ok", "signin refused"),
		signUps: samples{"created": 1, "limited": 1},
	},
	"unavailable": {
		faults:  faultOfAll(sandbox.Fault{Status: 500}),
		request: makeRequests("GET", known, known),
		want:    samples{"unavailable": 2},
	},
	"breaker": {
		more:    "breaker {\nfailures 3\nopen 1m\n}",
		faults:  faultOfAll(sandbox.Fault{Status: 500}),
		request: makeRequests("GET", known, user(1), user(2), user(3)),
		want:    samples{"unavailable": 4},
		calls:   firstCalls(samples{"error": 3}),
	},
	"timeout": {
		more:    "timeout 200ms",
		faults:  faultOfAll(sandbox.Fault{Delay: 5 * time.Second}),
		request: makeRequests("GET", known),
		want:    samples{"timeout": 1},
	},
	"credentials": {faults: faultOfAll(sandbox.Fault{Status: 401}), request: makeRequests("GET", known), want: samples{"misconfigured": 1}, calls: firstCalls(samples{"config": 1})},
	"our request": {faults: faultOfAll(sandbox.Fault{Status: 422}), request: makeRequests("GET", known), want: samples{"misconfigured": 1}, calls: firstCalls(samples{"rejected": 1})},
	"garbage":     {faults: faultOfAll(sandbox.Fault{Garbage: true}), request: makeRequests("GET", known), want: samples{"bad_response": 1}, calls: firstCalls(samples{"bad_response": 1})},
	"a retry":     {more: "retries 1", faults: faultOfAll(sandbox.Fault{Status: 503}), request: makeRequests("GET", known), want: samples{"unavailable": 1}, calls: firstCalls(samples{"error": 2})},
	"too many":    {faults: faultOfAll(sandbox.Fault{Status: 429}), request: makeRequests("GET", known), want: samples{"unavailable": 1}, calls: firstCalls(samples{"limited": 1})},
	"a reset":     {faults: faultOfAll(sandbox.Fault{Reset: sandbox.ResetBefore}), request: makeRequests("GET", known), want: samples{"unavailable": 1}, calls: firstCalls(samples{"unreachable": 1})},
	"no response": {
		more:    "attempt_timeout 100ms",
		faults:  faultOfAll(sandbox.Fault{Delay: 5 * time.Second}),
		request: makeRequests("GET", known),
		want:    samples{"timeout": 1},
		calls:   firstCalls(samples{"timeout": 1}),
	},
	"overloaded": {
		only:   "human_api",
		more:   "max_concurrent 1\nmax_waiting 1",
		faults: faultOfAll(sandbox.Fault{Delay: 500 * time.Millisecond}),
		request: func(m *metricsSite, p service) {
			m.concurrently(p.target(), 5, user)
		},
		want: samples{"signed_in": 2, "limited": 3},
	},
	"consent": {
		only:    "huma",
		more:    "registration {\nsign_consent on\n}",
		request: makeRequests("GET", unknown),
		want:    samples{"registered": 1},
		calls:   humaCalls("signin refused", "signup ok", "consent ok"),
		signUps: samples{"created": 1},
	},
	"a user who exists": {
		only:    "huma",
		faults:  signUpFault(sandbox.Fault{Status: 409, Processed: true}),
		request: makeRequests("GET", unknown),
		want:    samples{"signed_in": 1},
		calls:   humaCalls("signin refused", "signup refused", "signin ok"),
		signUps: samples{"exists": 1},
	},
	"a blocked user": {
		only:    "huma",
		faults:  signUpFault(sandbox.Fault{Status: 403}),
		request: makeRequests("GET", unknown),
		want:    samples{"refused": 1},
		calls:   humaCalls("signin refused", "signup refused"),
		signUps: samples{"refused": 1},
	},
	"an unclear end": {
		only:    "huma",
		faults:  signUpFault(sandbox.Fault{Reset: sandbox.ResetAfter}),
		request: makeRequests("GET", unknown),
		want:    samples{"signed_in": 1},
		calls:   humaCalls("signin refused", "signup unreachable", "signin ok"),
		signUps: samples{"unclear": 1},
	},
	"a wrong sign-up": {
		only:    "huma",
		faults:  signUpFault(sandbox.Fault{Status: 422}),
		request: makeRequests("GET", unknown),
		want:    samples{"misconfigured": 1},
		calls:   humaCalls("signin refused", "signup rejected"),
		signUps: samples{"failed": 1},
	},
	"left":    {faults: faultOfAll(sandbox.Fault{Delay: time.Second}), request: cancelRequest, want: samples{"canceled": 1}},
	"a panic": {more: panicking, request: makeRequests("GET", append(edits{header("X-Panic", "value")}, known...)), want: samples{"unavailable": 1}},
	// An HTTP client retries a GET request whose connection was closed.
	"an abort": {more: panicking, request: makeRequests("POST", append(edits{header("X-Panic", "abort")}, known...)), want: samples{"canceled": 1}},
}

// TestMetrics_EveryRequestEndsOnce checks that every request is counted once, with its
// duration.
func TestMetrics_EveryRequestEndsOnce(t *testing.T) {
	reached := make(map[string]bool)
	for name, c := range outcomeCases {
		for outcome := range c.want {
			reached[outcome] = true
		}
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				if c.only == "" || c.only == p.name {
					c.check(t, p)
				}
			})
		})
	}
	for _, outcome := range outcomes {
		if !reached[outcome] {
			t.Errorf("no case has the outcome %s", outcome)
		}
	}
}

// check makes the requests of a case and checks how they are counted.
func (c outcomeCase) check(t *testing.T, p service) {
	fake := newHuma(t, sandbox.Config{})
	p.addUsers(fake, "known@x.example")
	if c.faults != nil {
		must(t, fake.SetFaults(c.faults(p)))
	}
	more := c.more
	if !strings.Contains(more, "retries") {
		more += "\nretries 0"
	}
	m := serveMetrics(t, strings.Replace(p.site(fake, more), "SITE {", "SITE {\nlog\ntest_broken\n", 1))
	m.request("GET", "/other") // opens a connection, so that no request is lost
	before := m.scrape()
	c.request(m, p)
	want := make(samples)
	for outcome, n := range c.want {
		want[outcome+" "+p.name] = n
	}
	m.wantIncrease(before, "requests_total", want)
	m.wantIncrease(before, "request_duration_seconds_count", want)
	if c.calls == nil {
		return
	}
	calls := c.calls(p)
	m.wantIncrease(before, "upstream_requests_total", calls)
	// The durations of all calls are counted, with any result.
	durations := make(samples)
	for labels, n := range calls {
		durations[labels[:strings.LastIndex(labels, " ")]] += n
	}
	m.wantIncrease(before, "upstream_request_duration_seconds_count", durations)
	signUps := make(samples)
	for result, n := range c.signUps {
		signUps[p.name+" "+result] = n
	}
	m.wantIncrease(before, "registrations_total", signUps)
}
