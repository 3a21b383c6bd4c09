// Package metrics defines the Prometheus metrics of the plugin.
package metrics

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken"
)

// Each config has its own registry, which is dropped when the config is unloaded. The
// metrics belong to the process: they are created once and registered with each config,
// so that a reload does not reset them.
var (
	requestCounts   = metricRequests.counters()
	requestSeconds  = metricRequestSeconds.histograms()
	callCounts      = metricCalls.counters()
	callSeconds     = metricCallSeconds.histograms()
	cacheCounts     = metricCache.counters()
	signUpCounts    = metricSignUps.counters()
	rejectionCounts = metricRejections.counters()
	refreshCounts   = metricRefreshTokens.counters()
)

// buckets are the upper bounds of the histograms' buckets, in seconds: from the duration
// of a cache hit to the default of the option timeout.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// The series that any request may need, looked up once.
var (
	memoryHits   = cacheCounts.WithLabelValues(LayerMemory, string(cacheHit))
	memoryMisses = cacheCounts.WithLabelValues(LayerMemory, string(cacheMiss))
	redisCounts  = series[cacheResult](cacheCounts, cacheResultLabel, layerRedis)
	rejections   = series[identity.Reason](rejectionCounts, reasonLabel)
)

// Register registers the metrics with the registry of a config, except those that another
// handler has registered already. state collects the gauges Entries, Breakers and
// CredentialsLoaded, whose values it reads at each scrape. Register returns an error if
// registry is nil, or if another module has registered a metric of the same name.
func Register(registry *prometheus.Registry, state prometheus.Collector) error {
	if registry == nil {
		return errors.New("no metrics registry found")
	}
	for _, c := range []prometheus.Collector{
		requestCounts, requestSeconds, callCounts, callSeconds, cacheCounts, signUpCounts, rejectionCounts, refreshCounts, state,
	} {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}

// labelNames returns the names of the metric's labels.
func (m metric) labelNames() (names []string) {
	for _, l := range m.labels {
		names = append(names, l.name)
	}
	return names
}

// counters returns a CounterVec for the metric, without series.
func (m metric) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + m.name, Help: m.help}, m.labelNames())
}

// histograms returns a HistogramVec for the metric, without series.
func (m metric) histograms() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + m.name, Help: m.help, Buckets: buckets}, m.labelNames())
}

// Desc returns the metric's description, for a collector that creates its series itself.
func (m metric) Desc() *prometheus.Desc {
	return prometheus.NewDesc(prefix+m.name, m.help, m.labelNames(), nil)
}

// series creates and returns the series of all values of the label l, by value. before are
// the values of the labels before l. The series exist from the start with the value 0,
// so that Prometheus does not miss the first increase.
func series[K ~string](of *prometheus.CounterVec, l label, before ...string) map[K]prometheus.Counter {
	m := make(map[K]prometheus.Counter, len(l.Values))
	for _, v := range l.Values {
		m[K(v)] = of.WithLabelValues(slices.Concat(before, []string{v})...)
	}
	return m
}

// ServiceMetrics are the series of one service, looked up once, so that a request need
// not hash label values. It is safe for concurrent use.
type ServiceMetrics struct {
	byOutcome map[exchange.Outcome]*OutcomeMetrics
	hit       *OutcomeMetrics // byOutcome[exchange.OutcomeHit]: most requests need this one
	calls     map[exchange.Op]*callMetrics
}

// OutcomeMetrics are the series of all requests with the same outcome.
type OutcomeMetrics struct {
	Outcome     exchange.Outcome
	Placeholder any // Outcome as a string in an interface, converted once to save an allocation per request
	count       prometheus.Counter
	seconds     prometheus.Observer
}

// callMetrics are the series of one kind of call.
type callMetrics struct {
	results map[exchange.CallResult]prometheus.Counter
	seconds prometheus.Observer
}

// ForService creates and returns the series of the named service. calls maps the calls at
// the service to their names in the label op.
func ForService(service string, calls map[exchange.Op]string) *ServiceMetrics {
	m := &ServiceMetrics{
		byOutcome: make(map[exchange.Outcome]*OutcomeMetrics, len(outcomeLabel.Values)),
		calls:     make(map[exchange.Op]*callMetrics, len(calls)),
	}
	for outcome, count := range series[exchange.Outcome](requestCounts, outcomeLabel, service) {
		m.byOutcome[outcome] = &OutcomeMetrics{outcome, string(outcome), count, requestSeconds.WithLabelValues(service, string(outcome))}
	}
	m.hit = m.byOutcome[exchange.OutcomeHit]
	for op, name := range calls {
		m.calls[op] = &callMetrics{
			series[exchange.CallResult](callCounts, callResultLabel, service, name),
			callSeconds.WithLabelValues(service, name),
		}
	}
	return m
}

// Outcome returns the series of an outcome, or nil if the label outcome does not have
// that value.
func (m *ServiceMetrics) Outcome(outcome exchange.Outcome) *OutcomeMetrics {
	if outcome == exchange.OutcomeHit {
		return m.hit
	}
	return m.byOutcome[outcome]
}

// Observe records one request and its duration.
func (e *OutcomeMetrics) Observe(took time.Duration) {
	e.count.Inc()
	e.seconds.Observe(took.Seconds())
}

// ObserveCall records one attempt at a call, its result and its duration. op must be one
// of the calls that ForService was given.
func (m *ServiceMetrics) ObserveCall(op exchange.Op, result exchange.CallResult, took time.Duration) {
	c := m.calls[op]
	c.results[result].Inc()
	c.seconds.Observe(took.Seconds())
}

// SignUpCounter returns a function that counts one sign-up at the named service. It
// creates the series of all results.
func SignUpCounter(service string) func(login.SignUpResult) {
	results := series[login.SignUpResult](signUpCounts, signUpResultLabel, service)
	return func(r login.SignUpResult) { results[r].Inc() }
}

// CountLookup counts the memory cache lookup of one request for a token: a hit or a miss.
func CountLookup(r exchange.Result) {
	switch {
	case r.Cached:
		memoryHits.Inc()
	default:
		memoryMisses.Inc()
	}
}

// CountRejection counts a request whose user was not identified, by the reason of the
// *identity.Rejection in err. It ignores all other errors.
func CountRejection(err error) {
	if rejected := (*identity.Rejection)(nil); errors.As(err, &rejected) {
		rejections[rejected.Reason].Inc()
	}
}

// refreshTokens creates the series of the refresh tokens with its first call, when a config
// has human_api_token.
var refreshTokens = sync.OnceValue(func() map[refreshTokenResult]prometheus.Counter {
	return series[refreshTokenResult](refreshCounts, refreshTokenLabel)
})

// StartRefreshTokens creates the series of CountRefreshToken.
func StartRefreshTokens() { refreshTokens() }

// CountRefreshToken counts a refresh token of Human API: saved if err is nil, dropped if
// too many were waiting, and an error otherwise.
func CountRefreshToken(err error) {
	result := refreshTokenSaved
	switch {
	case errors.Is(err, refreshtoken.ErrQueueFull):
		result = refreshTokenDropped
	case err != nil:
		result = refreshTokenFailed
	}
	refreshTokens()[result].Inc()
}
