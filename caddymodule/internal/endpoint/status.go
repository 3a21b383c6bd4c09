package endpoint

import (
	"iter"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
)

// AccountNames are the options that identify an account, as they stand in the config:
// placeholders are not replaced.
type AccountNames struct {
	ConfigFile   string `json:"config_file,omitempty"`
	API          string `json:"api,omitempty"`
	ProjectID    string `json:"project_id,omitempty"`
	DeploymentID string `json:"deployment_id,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
}

// HandlerStatus is the status of one handler of the running config, in the JSON of the
// admin API.
type HandlerStatus struct {
	Handler       string `json:"handler"`         // the name of the directive; see Endpoint.Name
	Breaker       string `json:"breaker"`         // closed, open or off
	CallsInFlight int    `json:"calls_in_flight"` // at the service, now
	HadToken      bool   `json:"had_token"`       // an exchange has succeeded since the config was loaded

	Credentials credentialStatus `json:"credentials"`

	// SharedStore is "up" or "down". It is empty if there is no shared store.
	SharedStore string `json:"shared_store,omitempty"`
}

// credentialStatus is the status of the credentials that a handler uses.
type credentialStatus struct {
	Loaded     time.Time `json:"loaded"`
	AgeSeconds int64     `json:"age_seconds"`

	// Unreadable is true if the files cannot be reloaded. The previous credentials
	// stay in use.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Status returns the status of the handler at the time now. It does not block.
func (e *Endpoint) Status(now time.Time) HandlerStatus {
	c := e.current.Load()
	h := HandlerStatus{
		Handler:       e.Name(),
		Breaker:       "closed",
		CallsInFlight: e.upstream.Client.InFlight(),
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
	case e.upstream.Client.BreakerOpen():
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

// stateCollector collects the gauges, whose values it reads at the time of a scrape. It
// reads them from the pools and from Running, so state that a reload has dropped is not
// included. It takes no lock that is held for longer than a few instructions.
type stateCollector struct{}

// RegisterMetrics registers the plugin's metrics with the registry of a config. If they
// are registered already, it does nothing. It returns an error if registry is nil.
func RegisterMetrics(registry *prometheus.Registry) error {
	return metrics.Register(registry, stateCollector{})
}

// running is the set of endpoints of the running config. For a moment after a reload it
// also has those of the previous config.
var running sync.Map // *Endpoint → nil

// Running returns an iterator over the endpoints of the running config, in no particular
// order. For a moment after a reload it includes those of the previous config.
func Running() iter.Seq[*Endpoint] {
	return func(yield func(*Endpoint) bool) {
		running.Range(func(e, _ any) bool { return yield(e.(*Endpoint)) })
	}
}

// AccountNames returns the options that identify the endpoint's account.
func (e *Endpoint) AccountNames() AccountNames { return e.source.Names }

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
		if u, ok := v.(*account.Upstream); ok && u.Client.BreakerOpen() {
			open[u.Service]++
		}
		return true
	})
	for _, service := range metrics.ServiceLabel.Values {
		gauge(breakersDesc, float64(open[service]), service)
	}

	loaded := make(map[string]time.Time) // service → when its oldest credentials were loaded
	for e := range Running() {
		loadedAt := e.current.Load().loaded
		if oldest, ok := loaded[e.Service.Name]; !ok || loadedAt.Before(oldest) {
			loaded[e.Service.Name] = loadedAt
		}
	}
	for service, loadedAt := range loaded {
		gauge(credentialsDesc, float64(loadedAt.UnixMilli())/1000, service)
	}
}

// Interface guard
var _ prometheus.Collector = stateCollector{}
