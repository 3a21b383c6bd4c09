package endpoint

import (
	"iter"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
)

// AccountNames tell accounts apart, as they are written in the config: a
// placeholder stays one.
type AccountNames struct {
	ConfigFile   string `json:"config_file,omitempty"`
	API          string `json:"api,omitempty"`
	ProjectID    string `json:"project_id,omitempty"`
	DeploymentID string `json:"deployment_id,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
}

// HandlerStatus is one directive in the config.
type HandlerStatus struct {
	Breaker       string `json:"breaker"`         // closed, open or off
	CallsInFlight int    `json:"calls_in_flight"` // at the service
	HadToken      bool   `json:"had_token"`       // since the config was loaded

	Credentials credentialStatus `json:"credentials"`

	// SharedStore is up or down; empty without one.
	SharedStore string `json:"shared_store,omitempty"`
}

type credentialStatus struct {
	Loaded     time.Time `json:"loaded"`
	AgeSeconds int64     `json:"age_seconds"`

	// Unreadable says that their files are gone or broken, and that those of
	// before are used.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Status tells of one handler. It waits for nobody.
func (e *Endpoint) Status(now time.Time) HandlerStatus {
	c := e.current.Load()
	h := HandlerStatus{
		Breaker:       "closed",
		CallsInFlight: e.upstream.Guard.InFlight(),
		HadToken:      e.succeeded.Load(),
		Credentials: credentialStatus{
			Loaded:     c.loaded.UTC(),
			AgeSeconds: int64(now.Sub(c.loaded).Seconds()),
			Unreadable: e.rotation.unreadable.Load(),
		},
	}
	switch b := e.common.Breaker; {
	case b != nil && b.Disabled:
		h.Breaker = "off"
	case e.upstream.Guard.BreakerOpen():
		h.Breaker = "open"
	}
	if shared := c.Policy.Shared; shared != nil {
		h.SharedStore = "down"
		if shared.Up() {
			h.SharedStore = "up"
		}
	}
	return h
}

// stateCollector tells what is so at the moment of a scrape. It looks at what the
// pools hold, so what a reload has dropped is not in it, and takes no lock that
// is held for longer than a few instructions.
type stateCollector struct{}

// allMetrics are those of the process.
var allMetrics = metrics.New(stateCollector{})

// RegisterMetrics makes the metrics part of what a config's registry tells.
func RegisterMetrics(registry *prometheus.Registry) error { return allMetrics.Register(registry) }

// running are the endpoints of the config that runs, and for a moment after a reload
// of the one before, too.
var running sync.Map // *Endpoint → nil

// Running returns them.
func Running() iter.Seq[*Endpoint] {
	return func(yield func(*Endpoint) bool) {
		running.Range(func(e, _ any) bool { return yield(e.(*Endpoint)) })
	}
}

// AccountNames returns what names the endpoint's account.
func (e *Endpoint) AccountNames() AccountNames { return e.source.Names() }

var (
	entriesDesc     = metrics.Entries.Desc()
	breakersDesc    = metrics.Breakers.Desc()
	credentialsDesc = metrics.CredentialsLoaded.Desc()
)

// Describe implements prometheus.Collector.
func (stateCollector) Describe(to chan<- *prometheus.Desc) {
	to <- entriesDesc
	to <- breakersDesc
	to <- credentialsDesc
}

// Collect implements prometheus.Collector.
func (stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, label string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	entries := 0
	account.Accounts.Range(func(_, v any) bool {
		if a, ok := v.(*account.Account); ok {
			entries += a.Cache.Len()
		}
		return true
	})
	gauge(entriesDesc, float64(entries), metrics.LayerMemory)

	open := make(map[string]int)
	account.Upstreams.Range(func(_, v any) bool {
		if u, ok := v.(*account.Upstream); ok && u.Guard.BreakerOpen() {
			open[u.Service]++
		}
		return true
	})
	for _, provider := range metrics.ServiceLabel.Values {
		gauge(breakersDesc, float64(open[provider]), provider)
	}

	loaded := make(map[string]time.Time) // of the oldest ones of each provider
	for e := range Running() {
		at := e.current.Load().loaded
		if oldest, ok := loaded[e.Service.Name]; !ok || at.Before(oldest) {
			loaded[e.Service.Name] = at
		}
	}
	for provider, at := range loaded {
		gauge(credentialsDesc, float64(at.UnixMilli())/1000, provider)
	}
}

// Interface guard
var _ prometheus.Collector = stateCollector{}
