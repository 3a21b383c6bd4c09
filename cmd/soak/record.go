package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
	"github.com/caddy-huma/caddy-huma/internal/tool"
)

// recorder records the outcomes of requests and the metrics of Caddy. It is safe for
// concurrent use.
type recorder struct {
	start         time.Time     // of the load
	connected     chan struct{} // closed when Caddy is connected to Redis
	markConnected func()        // closes connected

	mu                  sync.Mutex
	faultFrom, faultEnd time.Time // zero before
	faultCalls          int64     // requests that reached the proxy during the fault
	latencies           []map[string]*histogram.Histogram
	sendDelay           histogram.Histogram // how late requests were sent
	uids                map[string]string   // by user; empty: no token yet
	wrongTokens         int                 // number of tokens of another user
	firstToken          time.Duration       // from the end of the fault to the first token of a user who had none; -1: none
	reloads, failed     int
	first, peak, last   map[string]float64 // Caddy's metrics
}

// phases are the phases of a run. A request belongs to the phase in which it was due,
// or to the fault if that started before the request ended.
var phases = []string{"before", "fault", "after"}

// newRecorder returns an empty recorder.
func newRecorder() *recorder {
	r := &recorder{connected: make(chan struct{}), uids: make(map[string]string), firstToken: -1}
	r.markConnected = sync.OnceFunc(func() { close(r.connected) })
	for range phases {
		r.latencies = append(r.latencies, make(map[string]*histogram.Histogram))
	}
	return r
}

// update calls f, which may change the fields.
func (r *recorder) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// phase returns the index of the phase of a request.
func (r *recorder) phase(a outcome) int {
	switch {
	case r.faultFrom.IsZero() || a.at.Before(r.faultFrom):
		return 0
	case !r.faultEnd.IsZero() && !a.due.Before(r.faultEnd):
		return 2
	}
	return 1
}

// The outcomes without a response.
const (
	outcomeCanceled   = "canceled"    // the client disconnected
	outcomeNoResponse = "no-response" // followed by the reason
)

// label returns the outcome as text: the status and the code of the problem details.
func (a outcome) label() string {
	label := strconv.Itoa(a.status)
	switch {
	case a.canceled:
		return outcomeCanceled
	case a.status == 0:
		label = outcomeNoResponse
	}
	return strings.TrimSpace(label + " " + a.code)
}

// record records the outcome of a request.
func (r *recorder) record(a outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendDelay.Add(a.sent.Sub(a.due))
	latencies, label := r.latencies[r.phase(a)], a.label()
	if latencies[label] == nil {
		latencies[label] = new(histogram.Histogram)
	}
	latencies[label].Add(a.at.Sub(a.due))
	had := r.uids[a.user]
	r.uids[a.user] = had
	if a.status != http.StatusOK {
		return
	}
	// All tokens of a user must have the same uid. compareUIDs checks which one.
	uid := readUID(a.body)
	switch {
	case uid == "" || had != "" && had != uid:
		r.wrongTokens++
	case had == "":
		r.uids[a.user] = uid
		if after := a.at.Sub(r.faultEnd); r.firstToken < 0 && !r.faultEnd.IsZero() && after >= 0 {
			r.firstToken = after
		}
	}
}

// readUID returns the uid of a token response, or "" if it is missing or its tokens have
// another one.
func readUID(body []byte) string {
	var v struct{ UID, AuthToken, RefreshToken string }
	if json.Unmarshal(body, &v) != nil || v.UID == "" || subject(v.AuthToken) != v.UID || subject(v.RefreshToken) != v.UID {
		return ""
	}
	return v.UID
}

// subject returns the claim "sub" of a token, or "" if it is malformed. The signature
// is not verified.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct{ Sub string }
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Sub
}

// readMetrics reads the metrics of Caddy. Errors are ignored, since they may be
// unavailable during a reload.
func (r *recorder) readMetrics(ctx context.Context, p *process.Process) {
	values, err := p.Metrics(ctx)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first, r.peak = values, maps.Clone(values)
	}
	r.last = values
	for name, v := range values {
		r.peak[name] = max(r.peak[name], v)
	}
}

// report returns the report of a finished run.
func (r *recorder) report(u *upstream, o *options) *tool.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := &tool.Report{Title: "responses and their latencies", Columns: []string{"count", "p50Ms", "p99Ms", "p999Ms", "maxMs"}}
	row := func(name string, h *histogram.Histogram) {
		report.Rows = append(report.Rows, tool.Row{Name: name, Values: tool.Values{
			"count": float64(h.Count()), "p50Ms": tool.Millis(h.Quantile(0.5)), "p99Ms": tool.Millis(h.Quantile(0.99)),
			"p999Ms": tool.Millis(h.Quantile(0.999)), "maxMs": tool.Millis(h.Max()),
		}})
	}
	counts := make(map[string]int64)
	for i, latencies := range r.latencies {
		for _, label := range slices.Sorted(maps.Keys(latencies)) {
			row(phases[i]+" "+label, latencies[label])
			counts[label] += latencies[label].Count()
		}
	}
	row("send delay", &r.sendDelay)

	for _, name := range []string{process.MetricMemory, process.MetricGoroutines, process.MetricDescriptors} {
		if r.first[name] > 0 { // missing on some operating systems
			report.Add(name+" at the start", r.first[name])
			report.Add(name+" maximum", r.peak[name])
			report.Add(name+" at the end", r.last[name])
		}
	}
	cache := func(layer, result string) float64 {
		return r.last[fmt.Sprintf(`caddy_huma_cache_operations_total{layer=%q,result=%q}`, layer, result)]
	}
	report.Add("tokens from memory", cache("memory", "hit"))
	if o.redis {
		report.Add("tokens from Redis", cache("redis", "hit"))
		report.Add("failed operations of Redis", cache("redis", "error")+cache("redis", "down"))
	}
	calls := u.Calls().ByOp
	for _, op := range slices.Sorted(maps.Keys(calls)) {
		report.Add("calls of "+op, float64(calls[op]))
	}
	report.Add("calls attempted during the fault", float64(r.faultCalls))
	report.Add("connections to the service", float64(u.proxy.Stats().Accepted))
	if r.firstToken >= 0 {
		report.Add("milliseconds from the end of the fault to the first token of a user without one", tool.Millis(r.firstToken))
	}
	report.Add("reloads", float64(r.reloads))
	report.Add("failed reloads", float64(r.failed))
	wrong, tokens, total := r.compareUIDs(u)
	report.Add("users with requests", float64(len(r.uids)))
	report.Add("users with a token", float64(tokens))
	report.Add("users at the service", float64(total))

	u.mu.Lock()
	defer u.mu.Unlock()
	f := findFault(o.fault)
	report.Violations = violations(wrong, u.secondSignUps, counts, allowed{failures: !f.redisOnly, garbage: f.garbles, lost: o.reload > 0})
	return report
}

// compareUIDs compares the uids of tokens with those at the service. It returns the
// number of tokens of another user, of users with a token, and of users at the service.
func (r *recorder) compareUIDs(u *upstream) (wrong, tokens, total int) {
	uids := make(map[string]string)
	for _, user := range u.Users() {
		uids[user.Email] = user.UID
	}
	wrong = r.wrongTokens
	for user, uid := range r.uids {
		if uid == "" {
			continue
		}
		if tokens++; uid != uids[user] {
			wrong++
		}
	}
	return wrong, tokens, len(uids)
}

// allowed are the outcomes other than a token that are not violations.
type allowed struct {
	failures bool // 503 and 504
	garbage  bool // 502
	lost     bool // no response because of a reload
}

// violations returns the guarantees that were violated. It is never nil.
func violations(wrong, secondSignUps int, counts map[string]int64, a allowed) []string {
	texts := []string{}
	if wrong > 0 {
		texts = append(texts, fmt.Sprintf("tokens of another user: %d", wrong))
	}
	if secondSignUps > 0 {
		texts = append(texts, fmt.Sprintf("second sign-ups of a user: %d", secondSignUps))
	}
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		if !a.expected(label) {
			texts = append(texts, fmt.Sprintf("unexpected responses %s: %d", label, counts[label]))
		}
	}
	return texts
}

// expected reports whether an outcome is allowed.
func (a allowed) expected(label string) bool {
	status, reason, _ := strings.Cut(label, " ")
	switch n, _ := strconv.Atoi(status); n {
	case http.StatusOK:
		return true
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return a.failures
	case http.StatusBadGateway:
		return a.garbage
	}
	// Caddy may close a connection when it reloads, but clients must not time out.
	return status == outcomeCanceled || status == outcomeNoResponse && a.lost && reason != "timeout"
}
