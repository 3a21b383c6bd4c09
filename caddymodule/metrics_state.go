package caddymodule

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// liveState tells what is so at the moment of a scrape. It looks at what the
// pools hold, so what a reload has dropped is not in it, and takes no lock that
// is held for longer than a few instructions.
type liveState struct{}

// allMetrics are those of the process.
var allMetrics = newCollectors(liveState{})

// registerMetrics makes the metrics part of what a config's registry tells.
func registerMetrics(registry *prometheus.Registry) error { return allMetrics.register(registry) }

// handlers are those of the config that runs, and for a moment after a reload
// of the one before, too.
var handlers sync.Map // *endpoint → nil

var (
	entriesDesc     = metricEntries.desc()
	breakersDesc    = metricBreakers.desc()
	credentialsDesc = metricCredentials.desc()
)

// Describe implements prometheus.Collector.
func (liveState) Describe(to chan<- *prometheus.Desc) {
	to <- entriesDesc
	to <- breakersDesc
	to <- credentialsDesc
}

// Collect implements prometheus.Collector.
func (liveState) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, label string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	entries := 0
	accounts.Range(func(_, v any) bool {
		if a, ok := v.(*account); ok {
			entries += a.cache.Len()
		}
		return true
	})
	gauge(entriesDesc, float64(entries), layerMemory)

	open := make(map[string]int)
	upstreams.Range(func(_, v any) bool {
		if u, ok := v.(*upstream); ok && u.guard.BreakerOpen() {
			open[u.provider]++
		}
		return true
	})
	for _, provider := range providerLabel.values {
		gauge(breakersDesc, float64(open[provider]), provider)
	}

	loaded := make(map[string]time.Time) // of the oldest ones of each provider
	handlers.Range(func(h, _ any) bool {
		e := h.(*endpoint)
		at := e.current.Load().loaded
		if oldest, ok := loaded[e.service.name]; !ok || at.Before(oldest) {
			loaded[e.service.name] = at
		}
		return true
	})
	for provider, at := range loaded {
		gauge(credentialsDesc, float64(at.UnixMilli())/1000, provider)
	}
}

// Interface guard
var _ prometheus.Collector = liveState{}
