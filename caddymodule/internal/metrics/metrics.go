// Package metrics has the Prometheus metrics of the plugin.
package metrics

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
)

// Each config has a registry of its own, which goes when the config goes. The
// metrics are the process's: made once, and registered with every config, so
// that no reload sets them back.
var (
	requestCounts   = metricRequests.counters()
	requestSeconds  = metricRequestSeconds.histograms()
	callCounts      = metricCalls.counters()
	callSeconds     = metricCallSeconds.histograms()
	cacheCounts     = metricCache.counters()
	signUpCounts    = metricSignUps.counters()
	rejectionCounts = metricRejections.counters()
)

// buckets are the upper ends of the histograms, in seconds: from a hit to the
// longest that anybody waits by default.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Series that every request may need are looked up once.
var (
	memoryHits   = cacheCounts.WithLabelValues(LayerMemory, string(cacheHit))
	memoryMisses = cacheCounts.WithLabelValues(LayerMemory, string(cacheMiss))
	redisCounts  = series[cacheResult](cacheCounts, cacheResultLabel, layerRedis)
	rejections   = series[identity.Reason](rejectionCounts, reasonLabel)
)

// New returns all metrics, with those that state tells of at a scrape.
func New(state prometheus.Collector) *collectors {
	return &collectors{
		requestCounts, requestSeconds, callCounts, callSeconds, cacheCounts, signUpCounts, rejectionCounts, state,
	}
}

// Register makes the metrics part of what a config's registry tells. A registry
// that has them already, from another handler, keeps them.
func (c *collectors) Register(registry *prometheus.Registry) error {
	if registry == nil {
		return errors.New("no metrics registry found")
	}
	err := registry.Register(c)
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return nil
	}
	return err
}

// collectors are registered as one, so that a registry has all of them or none.
type collectors []prometheus.Collector

// Describe implements prometheus.Collector.
func (c *collectors) Describe(to chan<- *prometheus.Desc) {
	for _, one := range *c {
		one.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (c *collectors) Collect(to chan<- prometheus.Metric) {
	for _, one := range *c {
		one.Collect(to)
	}
}

func (m metric) labelNames() (names []string) {
	for _, l := range m.labels {
		names = append(names, l.name)
	}
	return names
}

func (m metric) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + m.name, Help: m.help}, m.labelNames())
}

func (m metric) histograms() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + m.name, Help: m.help, Buckets: buckets}, m.labelNames())
}

func (m metric) Desc() *prometheus.Desc {
	return prometheus.NewDesc(prefix+m.name, m.help, m.labelNames(), nil)
}

// series makes the series of all values of a label, behind the values of the
// labels before it: one that is there from the beginning misses no increase.
func series[K ~string](of *prometheus.CounterVec, l label, before ...string) map[K]prometheus.Counter {
	m := make(map[K]prometheus.Counter, len(l.Values))
	for _, v := range l.Values {
		m[K(v)] = of.WithLabelValues(slices.Concat(before, []string{v})...)
	}
	return m
}

// ServiceMetrics are the series of one provider, looked up once: a request does not
// have to hash its labels.
type ServiceMetrics struct {
	byOutcome map[exchange.Outcome]*OutcomeMetrics
	hit       *OutcomeMetrics // one of them: that of most requests
	calls     map[exchange.Op]*callMeters
}

// OutcomeMetrics is what all requests have in common that ended in one way.
type OutcomeMetrics struct {
	Outcome     exchange.Outcome
	Placeholder any // the outcome, made once so that a request does not pay for it
	count       prometheus.Counter
	seconds     prometheus.Observer
}

type callMeters struct {
	results map[exchange.CallResult]prometheus.Counter
	seconds prometheus.Observer
}

// ForService returns the series of a service.
func ForService(service string, calls map[exchange.Op]string) *ServiceMetrics {
	m := &ServiceMetrics{
		byOutcome: make(map[exchange.Outcome]*OutcomeMetrics, len(outcomeLabel.Values)),
		calls:     make(map[exchange.Op]*callMeters, len(calls)),
	}
	for outcome, count := range series[exchange.Outcome](requestCounts, outcomeLabel, service) {
		m.byOutcome[outcome] = &OutcomeMetrics{outcome, string(outcome), count, requestSeconds.WithLabelValues(service, string(outcome))}
	}
	m.hit = m.byOutcome[exchange.OutcomeHit]
	for op, name := range calls {
		m.calls[op] = &callMeters{
			series[exchange.CallResult](callCounts, callResultLabel, service, name),
			callSeconds.WithLabelValues(service, name),
		}
	}
	return m
}

// Outcome is that of an outcome.
func (m *ServiceMetrics) Outcome(outcome exchange.Outcome) *OutcomeMetrics {
	if outcome == exchange.OutcomeHit {
		return m.hit
	}
	return m.byOutcome[outcome]
}

// Observe counts one request that took so long.
func (e *OutcomeMetrics) Observe(took time.Duration) {
	e.count.Inc()
	e.seconds.Observe(took.Seconds())
}

// ObserveCall counts one attempt at a call.
func (m *ServiceMetrics) ObserveCall(op exchange.Op, result exchange.CallResult, took time.Duration) {
	c := m.calls[op]
	c.results[result].Inc()
	c.seconds.Observe(took.Seconds())
}

// SignUpCounter counts sign-ups at a service.
func SignUpCounter(service string) func(login.SignUpResult) {
	results := series[login.SignUpResult](signUpCounts, signUpResultLabel, service)
	return func(r login.SignUpResult) { results[r].Inc() }
}

// CountLookup counts what a request for a token found in memory.
func CountLookup(r exchange.Result) {
	switch {
	case r.Kept:
		memoryHits.Inc()
	default:
		memoryMisses.Inc()
	}
}

// CountRejection counts a request that was not attributed to a user.
func CountRejection(err error) {
	if rejected := (*identity.Rejection)(nil); errors.As(err, &rejected) {
		rejections[rejected.Reason].Inc()
	}
}

// Interface guard
var _ prometheus.Collector = (*collectors)(nil)
