package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// outcomeCase is one way in which requests end.
type outcomeCase struct {
	only   string // the provider, if it is not for both
	more   string // options
	faults func(p provider) []sandbox.Fault
	ask    func(m *metered, p provider)
	want   samples // by outcome
}

// asks makes requests for a token one after the other.
func asks(method string, edits ...[]func(*http.Request)) func(m *metered, p provider) {
	return func(m *metered, p provider) {
		for _, edit := range edits {
			_, _ = m.try(context.Background(), method, p.ask(), edit...)
		}
	}
}

// failing is every call's fault.
func failing(f sandbox.Fault) func(provider) []sandbox.Fault {
	return func(provider) []sandbox.Fault { return []sandbox.Fault{f} }
}

type edits = []func(*http.Request)

var known, unknown = edits{as("known@x.example")}, edits{as("unknown@x.example")}

// panicking is an option whose value panics if the request wants it to.
const panicking = "cache {\nvary {broken}\n}"

// leaves asks, and goes before there is an answer.
func leaves(m *metered, p provider) {
	before := len(m.lines(`"outcome":"canceled"`))
	ctx, leave := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer leave()
	_, _ = m.try(ctx, "GET", p.ask(), known...)
	eventually(m.t, 5*time.Second, "the server knows that the caller has left", func() bool {
		return len(m.lines(`"outcome":"canceled"`)) > before
	})
}

// outcomeCases are all ways in which serve ends.
var outcomeCases = map[string]outcomeCase{
	"signed in":    {ask: asks("GET", known), want: samples{"signed_in": 1}},
	"POST":         {ask: asks("POST", known), want: samples{"signed_in": 1}},
	"registered":   {only: "huma", ask: asks("GET", unknown), want: samples{"registered": 1}},
	"hits":         {ask: asks("GET", known, known, known), want: samples{"signed_in": 1, "hit": 2}},
	"past it":      {ask: asks("GET", known, append(edits{fresh}, known...)), want: samples{"signed_in": 2}},
	"evicted":      {ask: asks("DELETE", known), want: samples{"evicted": 1}},
	"nobody":       {ask: asks("GET", nil), want: samples{"rejected": 1}},
	"a list":       {ask: asks("GET", edits{as("a"), as("b")}), want: samples{"rejected": 1}},
	"cross-site":   {ask: asks("GET", append(edits{header("Sec-Fetch-Site", "cross-site")}, known...)), want: samples{"rejected": 1}},
	"PUT":          {ask: asks("PUT", known), want: samples{"rejected": 1}},
	"HEAD":         {ask: asks("HEAD", known), want: samples{"rejected": 1}},
	"OPTIONS":      {ask: asks("OPTIONS", known), want: samples{}},
	"errors go on": {more: "errors caddy", ask: asks("GET", nil), want: samples{"rejected": 1}},
	"another path": {ask: func(m *metered, _ provider) { m.request("GET", "/other", known...) }, want: samples{}},
	"shared": {
		faults: failing(sandbox.Fault{Delay: 300 * time.Millisecond}),
		ask:    func(m *metered, p provider) { m.together(p.ask(), 5, func(int) []func(*http.Request) { return known }) },
		want:   samples{"signed_in": 1, "shared": 4},
	},
	"client type": {
		only: "huma",
		ask:  func(m *metered, p provider) { m.request("GET", p.path+"?client_type=tv", known...) },
		want: samples{"rejected": 1},
	},
	"no client type": {only: "huma", ask: func(m *metered, p provider) { m.request("GET", p.path, known...) }, want: samples{"rejected": 1}},
	"not registered": {only: "huma", more: "registration off", ask: asks("GET", unknown, unknown), want: samples{"refused": 2}},
	"refused": {
		only:   "huma",
		faults: failing(sandbox.Fault{Status: 403}),
		ask:    asks("GET", unknown, unknown),
		want:   samples{"refused": 2},
	},
	"connect unavailable": {
		only: "human_api",
		faults: func(provider) []sandbox.Fault {
			return []sandbox.Fault{{Op: sandbox.OpSession, Status: 403}, {Op: sandbox.OpID, Status: 403}}
		},
		ask:  asks("GET", known),
		want: samples{"refused": 1},
	},
	"the brake": {
		only: "huma",
		more: "registration {\nrate 1/h 1\n}",
		ask:  asks("GET", edits{as("a@x.example")}, edits{as("b@x.example")}),
		want: samples{"registered": 1, "limited": 1},
	},
	"unavailable": {
		faults: failing(sandbox.Fault{Status: 500}),
		ask:    asks("GET", known, known),
		want:   samples{"unavailable": 2},
	},
	"breaker": {
		more:   "breaker {\nfailures 3\nopen 1m\n}",
		faults: failing(sandbox.Fault{Status: 500}),
		ask:    asks("GET", known, user(1), user(2), user(3)),
		want:   samples{"unavailable": 4},
	},
	"timeout": {
		more:   "timeout 200ms",
		faults: failing(sandbox.Fault{Delay: 5 * time.Second}),
		ask:    asks("GET", known),
		want:   samples{"timeout": 1},
	},
	"credentials": {faults: failing(sandbox.Fault{Status: 401}), ask: asks("GET", known), want: samples{"misconfigured": 1}},
	"our request": {faults: failing(sandbox.Fault{Status: 422}), ask: asks("GET", known), want: samples{"misconfigured": 1}},
	"garbage":     {faults: failing(sandbox.Fault{Garbage: true}), ask: asks("GET", known), want: samples{"bad_response": 1}},
	"left":        {faults: failing(sandbox.Fault{Delay: time.Second}), ask: leaves, want: samples{"canceled": 1}},
	"a panic":     {more: panicking, ask: asks("GET", append(edits{header("X-Panic", "value")}, known...)), want: samples{"unavailable": 1}},
	// An HTTP client retries a GET request whose connection was closed.
	"an abort": {more: panicking, ask: asks("POST", append(edits{header("X-Panic", "abort")}, known...)), want: samples{"canceled": 1}},
}

// TestMetrics_EveryRequestEndsOnce: whatever comes of a request, it is counted
// once, and its time is.
func TestMetrics_EveryRequestEndsOnce(t *testing.T) {
	reached := make(map[string]bool)
	for name, c := range outcomeCases {
		for outcome := range c.want {
			reached[outcome] = true
		}
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p provider) {
				if c.only == "" || c.only == p.name {
					c.endsAs(t, p)
				}
			})
		})
	}
	for _, outcome := range []string{
		"hit", "shared", "signed_in", "registered", "evicted", "rejected", "refused", "limited",
		"unavailable", "timeout", "misconfigured", "bad_response", "canceled",
	} {
		if !reached[outcome] {
			t.Errorf("no case ends as %s", outcome)
		}
	}
}

// endsAs lets the requests of a case come, and looks how they were counted.
func (c outcomeCase) endsAs(t *testing.T, p provider) {
	fake := newHuma(t, sandbox.Config{})
	p.knows(fake, "known@x.example")
	if c.faults != nil {
		must(t, fake.SetFaults(c.faults(p)))
	}
	m := serveMetered(t, strings.Replace(p.site(fake, "retries 0\n"+c.more), "SITE {", "SITE {\nlog\ntest_broken\n", 1))
	m.request("GET", "/other") // a connection, so that no request is lost
	before := m.scrape()
	c.ask(m, p)
	want := make(samples)
	for outcome, n := range c.want {
		want[outcome+" "+p.name] = n
	}
	m.tells(before, "requests_total", want)
	m.tells(before, "request_duration_seconds_count", want)
}

// TestMetrics_ManyAtOnce: of many requests at once, of all kinds, each is
// counted as it was answered.
func TestMetrics_ManyAtOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		fake := newHuma(t, sandbox.Config{})
		must(t, fake.SetFaults([]sandbox.Fault{{Delay: 20 * time.Millisecond}}))
		m := serveMetered(t, p.site(fake, "max_concurrent 2\nmax_waiting 8"))
		before := m.scrape()
		counts := make(map[int]float64)
		for _, a := range m.together(p.ask(), 300, func(i int) []func(*http.Request) {
			switch i % 3 {
			case 0:
				return nil
			case 1:
				return edits{as("one@x.example")}
			}
			return edits{as(fmt.Sprintf("u%d@x.example", i))}
		}) {
			counts[a.StatusCode]++
		}
		got := m.scrape().since(before, "requests_total ")
		sum := func(outcomes ...string) (n float64) {
			for _, o := range outcomes {
				n += got["requests_total "+o+" "+p.name]
			}
			return n
		}
		if counts[200] == 0 || counts[401] != 100 || counts[503] == 0 ||
			sum("hit", "shared", "signed_in", "registered") != counts[200] || sum("rejected") != counts[401] || sum("limited") != counts[503] {
			t.Errorf("answers %v, counted\n%s", counts, got)
		}
	})
}
