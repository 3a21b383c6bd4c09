package caddymodule_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricsSite is a site and a second site with Caddy's metrics.
type metricsSite struct {
	*site
	metrics string // the URL of the second site
}

// serveMetrics is like serve and adds a site with the metrics.
func serveMetrics(t testing.TB, text string) *metricsSite {
	t.Helper()
	m := &metricsSite{metrics: "http://" + freeAddress(t)}
	m.site = serve(t, m.withMetrics(text))
	return m
}

// withMetrics adds the site with the metrics to a Caddyfile.
func (m *metricsSite) withMetrics(text string) string {
	return text + "\n" + m.metrics + " {\nmetrics\n}\n"
}

// families returns the plugin's metrics in a scrape.
func (m *metricsSite) families() map[string]*dto.MetricFamily {
	m.t.Helper()
	return m.familiesAt(m.metrics)
}

func (m *metricsSite) familiesAt(url string) map[string]*dto.MetricFamily {
	m.t.Helper()
	a := m.requestURL("GET", url, header("Accept-Encoding", "identity"))
	if a.StatusCode != 200 {
		m.t.Fatalf("scrape: %v", a)
	}
	var ours strings.Builder
	for line := range strings.Lines(string(a.Body)) {
		if strings.Contains(line, prefix) {
			ours.WriteString(line)
		}
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(ours.String()))
	if err != nil {
		m.t.Fatalf("scrape: %v", err)
	}
	return families
}

const prefix = "caddy_huma_"

// samples holds the values of a scrape. A key consists of the name and the values of the
// labels, in the order of the labels' names, such as "requests_total hit huma". A
// histogram has the number of observations, with the suffix _count.
type samples map[string]float64

func (m *metricsSite) scrape() samples {
	m.t.Helper()
	return samplesOf(m.families())
}

func samplesOf(families map[string]*dto.MetricFamily) samples {
	found := make(samples)
	for name, family := range families {
		for _, metric := range family.Metric {
			key := strings.TrimPrefix(name, prefix)
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			if h := metric.GetHistogram(); h != nil {
				key += "_count"
				value = float64(h.GetSampleCount())
			}
			for _, l := range metric.Label {
				key += " " + l.GetValue()
			}
			found[key] = value
		}
	}
	return found
}

// since returns the increases since another scrape of the metrics whose names begin with
// name.
func (s samples) since(before samples, name string) samples {
	more := make(samples)
	for key, value := range s {
		if strings.HasPrefix(key, name) && value != before[key] {
			more[key] = value - before[key]
		}
	}
	return more
}

// String returns the samples in order.
func (s samples) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s: %v\n", key, s[key])
	}
	return b.String()
}

// wantIncrease checks the increases of one metric since another scrape, by values of the
// labels.
func (m *metricsSite) wantIncrease(before samples, name string, want samples) {
	m.t.Helper()
	whole := make(samples, len(want))
	for labels, n := range want {
		whole[name+" "+labels] = n
	}
	if got := m.scrape().since(before, name+" "); !maps.Equal(got, whole) {
		m.t.Errorf("counted\n%swant\n%s", got, whole)
	}
}
