package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestMetrics_IdentityRejections(t *testing.T) {
	text := `SITE {
		huma_token {
			HUMA
			identity {
				email X-Test-User
				verified X-Test-Verified
				domains x.example
			}
			trust proxies 127.0.0.1
		}
		huma_token /far {
			HUMA
			identity {
				email X-Test-User
			}
			trust proxies 10.0.0.0/8
		}
		huma_token /userinfo {
			HUMA
			userinfo http://127.0.0.1:1/me {
				email email
			}
		}
	}`
	fake := newHuma(t, sandbox.Config{})
	m := serveMetrics(t, fill(fake, text))
	yes := header("X-Test-Verified", "true")
	for _, c := range []struct {
		target string
		edit   edits
		status int
		reason string
	}{
		{path, nil, 401, "identity_missing"},
		{path, edits{as("a@x.example"), as("b@x.example"), yes}, 401, "identity_ambiguous"},
		{path, edits{as("a b@x.example"), yes}, 401, "identity_invalid"},
		{path, edits{as("a@x.example"), header("X-Test-Verified", "no")}, 403, "email_unverified"},
		{path, edits{as("a@y.example"), yes}, 403, "domain_not_allowed"},
		{"/far", edits{as("a@x.example")}, 401, "identity_untrusted"},
		{"/userinfo", edits{header("Cookie", "session=1")}, 503, "identity_unavailable"},
	} {
		before := m.scrape()
		m.request("GET", c.target, c.edit...).problem(t, c.status, c.reason)
		m.wantIncrease(before, "identity_rejections_total", samples{c.reason: 1})
	}
	before := m.scrape()
	m.request("PUT", path)
	m.request("GET", path, header("Sec-Fetch-Site", "cross-site"))
	m.request("GET", path+"?client_type=tv", as("a@x.example"), yes)
	m.wantIncrease(before, "identity_rejections_total", samples{})
}

// TestMetrics_Memory checks that each request for a token counts as one lookup in
// the memory cache, and that other requests do not count.
func TestMetrics_Memory(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		for _, c := range []struct {
			name    string
			more    string
			faults  []sandbox.Fault
			request func(m *metricsSite, p service)
			want    samples
		}{
			{name: "tokens", request: makeRequests("GET", known, known, known), want: samples{"memory hit": 2, "memory miss": 1}},
			{name: "past it", request: makeRequests("GET", known, append(edits{noCache}, known...), append(edits{noCache}, known...)), want: samples{"memory hit": 1, "memory miss": 2}},
			{name: "refusals", faults: []sandbox.Fault{{Status: 403}}, request: makeRequests("GET", known, known), want: samples{"memory hit": 1, "memory miss": 1}},
			{name: "rejected", faults: []sandbox.Fault{{Status: 422}}, request: makeRequests("GET", known, known), want: samples{"memory hit": 1, "memory miss": 1}},
			{name: "failures", faults: []sandbox.Fault{{Status: 401}}, request: makeRequests("GET", known, known), want: samples{"memory miss": 2}},
			{name: "no cache", more: "cache off", request: makeRequests("GET", known, known), want: samples{}},
			{name: "unauthenticated", request: makeRequests("GET", nil), want: samples{}},
			{name: "evicted", request: makeRequests("DELETE", known), want: samples{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				fake := newHuma(t, sandbox.Config{})
				p.addUsers(fake, "known@x.example")
				must(t, fake.SetFaults(c.faults))
				m := serveMetrics(t, p.site(fake, c.more))
				before := m.scrape()
				c.request(m, p)
				m.wantIncrease(before, "cache_operations_total", c.want)
			})
		}
	})
}

// labelValues holds all values of each label, as they are documented. Requests
// cannot add values.
var labelValues = map[string]map[string][]string{
	"requests_total":                       {"provider": bothNames, "outcome": outcomes},
	"request_duration_seconds":             {"provider": bothNames, "outcome": outcomes},
	"upstream_requests_total":              {"provider": bothNames, "op": ops, "result": {"ok", "refused", "config", "rejected", "limited", "error", "timeout", "unreachable", "bad_response"}},
	"upstream_request_duration_seconds":    {"provider": bothNames, "op": ops},
	"cache_operations_total":               {"layer": {"memory", "redis"}, "result": {"hit", "miss", "unreadable", "written", "error", "down"}},
	"cache_entries":                        {"layer": {"memory"}},
	"registrations_total":                  {"provider": {"huma"}, "result": {"created", "exists", "refused", "unclear", "failed", "limited"}},
	"breaker_open":                         {"provider": bothNames},
	"identity_rejections_total":            {"reason": {"identity_missing", "identity_ambiguous", "identity_invalid", "identity_untrusted", "email_unverified", "domain_not_allowed", "identity_forbidden", "identity_unavailable"}},
	"refresh_tokens_total":                 {"result": {"saved", "error", "dropped"}},
	"credentials_loaded_timestamp_seconds": {"provider": bothNames},
}

var (
	bothNames = []string{"huma", "human_api"}
	ops       = []string{"signin", "signup", "consent", "session", "id"}
	outcomes  = []string{
		"hit", "shared", "signed_in", "registered", "evicted", "rejected", "refused", "limited",
		"unavailable", "timeout", "misconfigured", "bad_response", "canceled",
	}
)

// TestMetrics_LabelsAreClosed checks that no part of a request becomes the value of a
// label, and that requests add no series.
func TestMetrics_LabelsAreClosed(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	both := "SITE {\nlog\n" + humaService.block("/private/*", humaService.options(fake), "hash_key one") +
		humanAPIService.block("/connect/*", humanAPIService.options(fake), "hash_key one") + "}"
	m := serveMetrics(t, both)
	before := m.scrape()
	token := make(map[string]string)
	for target, p := range map[string]service{"/private/": humaService, "/connect/": humanAPIService} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "PUT", "CANARY", "HEAD"} {
			for _, user := range []string{"canary@x.example", "canary", `canary"} 1`, "{env.HOME}", "canary\u200b@x.example"} {
				m.request(method, target+`canary%0A{}"?client_type=canary`, as(user), header("X-Test-Name", "Canary"), header("User-Agent", "canary"))
				m.request(method, target+"?client_type=ios", as(user), header("Host", "canary.example"), header("Authorization", "Bearer canary"))
			}
		}
		token[p.name] = m.request("GET", target+"?client_type=ios", as("canary@x.example")).token(t, p)
	}
	families := m.families()
	if names := slices.Sorted(maps.Keys(families)); len(names) != len(labelValues) {
		t.Errorf("there is %q", names)
	}
	for name, labels := range labelValues {
		for _, metric := range families[prefix+name].GetMetric() {
			if len(metric.Label) != len(labels) {
				t.Errorf("%s has the labels %v", name, metric.Label)
			}
			for _, l := range metric.Label {
				if !slices.Contains(labels[l.GetName()], l.GetValue()) {
					t.Errorf("%s has the label %v", name, l)
				}
			}
		}
	}
	if after := samplesOf(families); len(after) != len(before) {
		t.Errorf("%d series became %d", len(before), len(after))
	}

	a, err := m.tryURL(t.Context(), "GET", m.metrics)
	must(t, err)
	canaries := []string{"canary", "Canary", "x.example", "sandbox-secret", token["huma"], token["human_api"]}
	for _, line := range m.accessLog() {
		if user, ok := line["user"].(string); ok {
			canaries = append(canaries, user)
		}
	}
	for _, text := range canaries {
		if strings.Contains(string(a.Body), text) {
			t.Errorf("%q is in the metrics", text)
		}
	}
}

// TestMetrics_ScrapesDoNotWait checks that a scrape waits neither for the service nor
// for a request, and that no request waits for a scrape.
func TestMetrics_ScrapesDoNotWait(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Users: []string{"cached@x.example"}})
	m := serveMetrics(t, simpleSite(fake, "max_concurrent 4"))
	m.request("GET", iosPath, as("cached@x.example")).tokens(t)
	release := fake.block(t, "")
	pending := make(chan []*response)
	go func() {
		pending <- m.concurrently(iosPath, 50, func(i int) []func(*http.Request) { return edits{as(fmt.Sprintf("u%d@x.example", i))} })
	}()
	fake.waitBlocked(t, 4)
	start := time.Now()
	for range 5 { // a request that waits would wait for the calls
		m.scrape()
		m.request("GET", iosPath, as("cached@x.example")).tokens(t)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("5 scrapes and 5 hits took %s", took)
	}
	release()
	<-pending
}
