package caddymodule_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// monotonicSamples returns the values that never decrease: counters, and histograms with
// their buckets.
func monotonicSamples(families map[string]*dto.MetricFamily) samples {
	all := make(samples)
	for name, family := range families {
		for _, metric := range family.Metric {
			key := name
			for _, l := range metric.Label {
				key += " " + l.GetValue()
			}
			switch h := metric.GetHistogram(); {
			case metric.Counter != nil:
				all[key] = metric.GetCounter().GetValue()
			case h != nil:
				all[key+" sum"], all[key+" count"] = h.GetSampleSum(), float64(h.GetSampleCount())
				for _, b := range h.Bucket {
					all[fmt.Sprint(key, " ", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return all
}

// checkMonotonic checks that no value is missing or less than before.
func checkMonotonic(t *testing.T, what string, before, after samples) {
	t.Helper()
	for key, value := range before {
		if now, ok := after[key]; !ok || now < value {
			t.Errorf("%s: %s was %v and is %v (present: %v)", what, key, value, now, ok)
		}
	}
}

// TestL04_MetricsAfterReloads checks the metrics of three handlers on two sites over
// various reloads, during scrapes. No metric is registered twice, decreases or is
// missing, both at Caddy's metrics handler and at the admin endpoint.
func TestL04_MetricsAfterReloads(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	second := "http://" + freeAddress(t)
	config := "SITE {\n" + humaService.block("", humaService.options(fake), "") + humanAPIService.block("", humanAPIService.options(fake), "") +
		"respond ok\n}\n" + second + " {\n" + humaService.block("", humaService.options(fake), "") + "}\n"
	m := serveMetrics(t, config)
	admin := adminAddress(t)
	load := func(text string) {
		t.Helper()
		must(t, loadConfig(withAdmin(m.site, m.withMetrics(text), admin)))
		m.loaded = time.Now()
		m.client.CloseIdleConnections()
	}
	reject := func(text string) {
		t.Helper()
		if loadConfig(withAdmin(m.site, m.withMetrics(text), admin)) == nil {
			t.Fatal("the invalid config was loaded")
		}
	}
	load(config)

	var scrapers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 2 {
		scrapers.Go(func() {
			for ctx.Err() == nil {
				a, err := m.tryURL(context.Background(), "GET", m.metrics)
				if err == nil && a.StatusCode != http.StatusOK {
					t.Errorf("a scrape: %d %s", a.StatusCode, a.Body)
				}
			}
		})
	}
	read := func() samples {
		var families map[string]*dto.MetricFamily
		eventually(t, 5*time.Second, "the admin endpoint responds", func() bool {
			a, err := m.tryURL(t.Context(), "GET", "http://"+admin+"/metrics")
			return err == nil && a.StatusCode == http.StatusOK
		})
		families = m.familiesAt("http://" + admin + "/metrics")
		if len(families) == 0 {
			t.Fatal("the admin endpoint does not have the plugin's metrics")
		}
		return monotonicSamples(families)
	}
	use := func(n int) {
		user := fmt.Sprintf("u%d@x.example", n%3)
		m.request("GET", iosPath, as(user)).tokens(t)
		m.request("GET", connectPath, as(user)).connect(t)
		m.request("PUT", iosPath)
		_, _ = m.tryURL(t.Context(), "GET", second+iosPath, as(user))
	}
	use(0)
	first := read()
	for name := range labelValues {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(first)), func(key string) bool { return strings.HasPrefix(key, prefix+name+" ") }) &&
			gaugeNames[name] != "gauge" {
			t.Errorf("no sample of %s", name)
		}
	}
	before := first
	for i := range 10 {
		what := fmt.Sprint("reload ", i)
		switch i {
		case 3:
			what += ", rejected after the handlers were set up"
			reject(strings.Replace(config, "respond", "handle {\nheader X-A [ b\n}\nrespond", 1))
		case 4:
			what += ", rejected, and it has no handlers"
			reject("SITE {\nheader X-A [ b\nrespond ok\n}\n")
		case 5:
			what += ", without the directives and with them again"
			load("SITE {\nrespond ok\n}\n")
			checkMonotonic(t, what, before, read())
			load(config)
		case 7:
			load(strings.ReplaceAll(config, "identity {", "max_concurrent 7\nidentity {"))
		default:
			load(config + fmt.Sprintf("# %d", i))
		}
		use(i)
		at := monotonicSamples(m.families())
		checkMonotonic(t, what+", at the handler", before, at)
		now := read()
		checkMonotonic(t, what, at, now)
		if len(now) != len(first) {
			t.Errorf("%s: %d series became %d", what, len(first), len(now))
		}
		before = now
	}
	stop()
	scrapers.Wait()
	for key, least := range map[string]float64{
		"requests_total hit huma": 10, "requests_total hit human_api": 5, "requests_total rejected huma": 11, "cache_operations_total memory hit": 15,
	} {
		if n := before[prefix+key] - first[prefix+key]; n < least-1 {
			t.Errorf("%s increased by %v, want %v", key, n, least)
		}
	}
}

// gaugeNames holds the metrics that may increase and decrease.
var gaugeNames = map[string]string{
	"cache_entries": "gauge", "breaker_open": "gauge", "credentials_loaded_timestamp_seconds": "gauge",
}

// TestMetrics_Gauges checks that gauges describe the running config, and nothing that a
// reload has removed.
func TestMetrics_Gauges(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		config := p.site(fake, "retries 0\nbreaker {\nfailures 3\nopen 1m\n}")
		start := time.Now()
		m := serveMetrics(t, config)
		gauges := func(what string, entries, open float64) samples {
			t.Helper()
			got := m.scrape()
			if got["cache_entries memory"] != entries || got["breaker_open "+p.name] != open {
				t.Errorf("%s: %v entries, %v open; want %v, %v", what, got["cache_entries memory"], got["breaker_open "+p.name], entries, open)
			}
			return got
		}
		loaded := gauges("at first", 0, 0)["credentials_loaded_timestamp_seconds "+p.name]
		if at := time.UnixMilli(int64(loaded * 1000)); at.Before(start.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("loaded at %s", at)
		}
		for i := range 3 {
			m.request("GET", p.target(), as(fmt.Sprintf("u%d@x.example", i))).token(t, p)
		}
		gauges("three users", 3, 0)
		m.request("DELETE", p.path, as("u1@x.example"))
		gauges("one is gone", 2, 0)
		must(t, fake.SetFaults([]sandbox.Fault{{Status: 500}}))
		for i := range 4 {
			m.request("GET", p.target(), as(fmt.Sprintf("late%d@x.example", i)))
		}
		if got := gauges("an outage", 2, 1); got["breaker_open huma"]+got["breaker_open human_api"] != 1 {
			t.Errorf("breakers\n%s", got)
		}
		must(t, m.load(m.withMetrics(config)))
		if again := gauges("the same config", 2, 1)["credentials_loaded_timestamp_seconds "+p.name]; again <= loaded {
			t.Errorf("loaded at %v, and then at %v", loaded, again)
		}
		must(t, m.load(m.withMetrics(strings.Replace(config, "failures 3", "failures 4", 1))))
		gauges("another breaker", 2, 0)

		other := humanAPIService
		if p.name == humanAPIService.name {
			other = humaService
		}
		must(t, m.load(m.withMetrics(other.site(fake, ""))))
		got := gauges("another account", 0, 0)
		if _, ok := got["credentials_loaded_timestamp_seconds "+p.name]; ok || got["credentials_loaded_timestamp_seconds "+other.name] == 0 {
			t.Errorf("credentials\n%s", got)
		}
	})
}

// TestMetrics_OldestCredentials checks that the metric has the time of the handler whose
// credentials are the oldest. The credentials of the second handler are replaced first,
// because they were loaded last.
func TestMetrics_OldestCredentials(t *testing.T) {
	fake := newHuma(t, sandbox.Config{})
	var files [2]secretFile
	text := "SITE {\n"
	for i := range files {
		files[i] = secretFiles["rename"](t, "sandbox-secret")
		credentials := strings.Replace(humaService.options(fake), "secret sandbox-secret", "secret {file."+files[i].path+"}", 1)
		text += humaService.block(fmt.Sprint("/", i), credentials, "")
	}
	m := serveMetrics(t, text+"}")
	loaded := func() float64 { return m.scrape()["credentials_loaded_timestamp_seconds huma"] }
	first := loaded()
	files[1].replace(t, "another")
	eventually(t, rotationTimeout, "the first file is reloaded", func() bool { return len(m.logLines("credentials reloaded")) == 1 })
	if now := loaded(); now != first {
		t.Errorf("loaded at %v, and at %v though one file was not replaced", first, now)
	}
	files[0].replace(t, "another")
	eventually(t, rotationTimeout, "the second file is reloaded", func() bool { return len(m.logLines("credentials reloaded")) == 2 })
	if now := loaded(); now <= first {
		t.Errorf("loaded at %v, and at %v though both files were replaced", first, now)
	}
}

// TestMetrics_Redis checks the metrics of operations of the shared store.
func TestMetrics_Redis(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Start(t)
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example", "b@x.example")
		config := p.site(fake, withRedis(r, "1m", ""))
		m := serveMetrics(t, config)
		m.waitShared(1)
		clearMemory := func(n int) { // without tokens in memory
			t.Helper()
			must(t, m.load(m.withMetrics("SITE {\nrespond ok\n}")))
			must(t, m.load(m.withMetrics(config)))
			m.waitShared(n)
		}
		wantOperations := func(what string, request func(), want samples) {
			t.Helper()
			before := m.scrape()
			request()
			if m.wantIncrease(before, "cache_operations_total", want); t.Failed() {
				t.Fatal(what)
			}
		}
		get := func() { m.request("GET", p.target(), as("a@x.example")).token(t, p) }
		wantOperations("a first token", get, samples{"memory miss": 1, "redis miss": 1, "redis written": 1})
		wantOperations("from memory", get, samples{"memory hit": 1})
		clearMemory(2)
		wantOperations("from the store", get, samples{"memory miss": 1, "redis hit": 1})
		clearMemory(3)
		for _, key := range tokenKeys(r) {
			fields := r.Texts("HKEYS", key)
			for _, field := range fields {
				r.Do("HSET", key, field, "garbage")
			}
		}
		wantOperations("garbage", get, samples{"memory miss": 1, "redis miss": 1, "redis unreadable": 1, "redis written": 1})
		wantOperations("evicted", func() { m.request("DELETE", p.path, as("a@x.example")) }, samples{"redis written": 1})
		r.Kill()
		eventually(t, redisTimeout, "the outage is logged", func() bool { return len(m.logLines("shared store unavailable")) > 0 })
		wantOperations("down", get, samples{"memory miss": 1, "redis down": 2})
	})
}
