package caddymodule

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
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
	memoryHits   = cacheCounts.WithLabelValues(layerMemory, string(cacheHit))
	memoryMisses = cacheCounts.WithLabelValues(layerMemory, string(cacheMiss))
	redisCounts  = series[cacheResult](cacheCounts, cacheResultLabel, layerRedis)
	rejections   = series[identity.Reason](rejectionCounts, reasonLabel)
)

// newCollectors returns all metrics, with those that state tells of at a scrape.
func newCollectors(state prometheus.Collector) *collectors {
	return &collectors{
		requestCounts, requestSeconds, callCounts, callSeconds, cacheCounts, signUpCounts, rejectionCounts, state,
	}
}

// register makes the metrics part of what a config's registry tells. A registry
// that has them already, from another handler, keeps them.
func (c *collectors) register(registry *prometheus.Registry) error {
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
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricPrefix + m.name, Help: m.help}, m.labelNames())
}

func (m metric) histograms() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: metricPrefix + m.name, Help: m.help, Buckets: buckets}, m.labelNames())
}

func (m metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(metricPrefix+m.name, m.help, m.labelNames(), nil)
}

// series makes the series of all values of a label, behind the values of the
// labels before it: one that is there from the beginning misses no increase.
func series[K ~string](of *prometheus.CounterVec, l label, before ...string) map[K]prometheus.Counter {
	m := make(map[K]prometheus.Counter, len(l.values))
	for _, v := range l.values {
		m[K(v)] = of.WithLabelValues(slices.Concat(before, []string{v})...)
	}
	return m
}

// meters are the series of one provider, looked up once: a request does not
// have to hash its labels.
type meters struct {
	endings map[exchange.Outcome]*ending
	hit     *ending // one of them: that of most requests
	calls   map[exchange.Op]*callMeters
}

// ending is what all requests have in common that ended in one way.
type ending struct {
	outcome     exchange.Outcome
	placeholder any // the outcome, made once so that a request does not pay for it
	count       prometheus.Counter
	seconds     prometheus.Observer
}

type callMeters struct {
	results map[exchange.CallResult]prometheus.Counter
	seconds prometheus.Observer
}

func newMeters(service string, calls map[exchange.Op]string) *meters {
	m := &meters{
		endings: make(map[exchange.Outcome]*ending, len(outcomeLabel.values)),
		calls:   make(map[exchange.Op]*callMeters, len(calls)),
	}
	for outcome, count := range series[exchange.Outcome](requestCounts, outcomeLabel, service) {
		m.endings[outcome] = &ending{outcome, string(outcome), count, requestSeconds.WithLabelValues(service, string(outcome))}
	}
	m.hit = m.endings[exchange.OutcomeHit]
	for op, name := range calls {
		m.calls[op] = &callMeters{
			series[exchange.CallResult](callCounts, callResultLabel, service, name),
			callSeconds.WithLabelValues(service, name),
		}
	}
	return m
}

// ending is that of an outcome.
func (m *meters) ending(outcome exchange.Outcome) *ending {
	if outcome == exchange.OutcomeHit {
		return m.hit
	}
	return m.endings[outcome]
}

// ended counts one request that took so long.
func (e *ending) ended(took time.Duration) {
	e.count.Inc()
	e.seconds.Observe(took.Seconds())
}

// called counts one attempt at a call.
func (m *meters) called(op exchange.Op, result exchange.CallResult, took time.Duration) {
	c := m.calls[op]
	c.results[result].Inc()
	c.seconds.Observe(took.Seconds())
}

// signUpCounter counts sign-ups at a service.
func signUpCounter(service string) func(exchange.SignUpResult) {
	results := series[exchange.SignUpResult](signUpCounts, signUpResultLabel, service)
	return func(r exchange.SignUpResult) { results[r].Inc() }
}

// countLook counts what a request for a token found in memory.
func countLook(r exchange.Result) {
	switch {
	case r.Kept:
		memoryHits.Inc()
	default:
		memoryMisses.Inc()
	}
}

// countRejection counts a request that was not attributed to a user.
func countRejection(err error) {
	if rejected := (*identity.Rejection)(nil); errors.As(err, &rejected) {
		rejections[rejected.Reason].Inc()
	}
}

// Interface guard
var _ prometheus.Collector = (*collectors)(nil)
