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

// recorder keeps what happens during a run.
type recorder struct {
	start         time.Time     // of the load
	connected     chan struct{} // closed when Caddy uses Redis
	markConnected func()        // closes it

	mu                  sync.Mutex
	faultFrom, faultEnd time.Time // zero: not yet
	faultCalls          int64     // that began to arrive at the service during the fault
	latencies           []map[string]*histogram.Histogram
	sendDelay           histogram.Histogram // how late requests were sent
	uids                map[string]string   // by user; empty: no token yet
	wrongTokens         int                 // tokens of another user
	firstToken          time.Duration       // from the fault's end to the first token of a user without one; -1: none
	reloads, failed     int
	first, peak, last   map[string]float64 // Caddy's metrics
}

// phases are the parts of a run, for which ends has the latencies by how requests
// ended. A request belongs to the phase in which it was due, or to the fault if that
// began before its end.
var phases = []string{"before", "fault", "after"}

func newRecorder() *recorder {
	r := &recorder{connected: make(chan struct{}), uids: make(map[string]string), firstToken: -1}
	r.markConnected = sync.OnceFunc(func() { close(r.connected) })
	for range phases {
		r.latencies = append(r.latencies, make(map[string]*histogram.Histogram))
	}
	return r
}

// update calls f, which may change what the other methods use.
func (r *recorder) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// phase returns the index of a request's phase.
func (r *recorder) phase(a outcome) int {
	switch {
	case r.faultFrom.IsZero() || a.at.Before(r.faultFrom):
		return 0
	case !r.faultEnd.IsZero() && !a.due.Before(r.faultEnd):
		return 2
	}
	return 1
}

// Ends of requests without a response.
const (
	outcomeCanceled   = "left" // The client hung up.
	outcomeNoResponse = "lost" // and the reason
)

// label names how a request ended: by status and code of the problem.
func (a outcome) label() string {
	end := strconv.Itoa(a.status)
	switch {
	case a.canceled:
		return outcomeCanceled
	case a.status == 0:
		end = outcomeNoResponse
	}
	return strings.TrimSpace(end + " " + a.code)
}

// record records how a request ended.
func (r *recorder) record(a outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendDelay.Add(a.sent.Sub(a.due))
	ends, end := r.latencies[r.phase(a)], a.label()
	if ends[end] == nil {
		ends[end] = new(histogram.Histogram)
	}
	ends[end].Add(a.at.Sub(a.due))
	had := r.uids[a.user]
	r.uids[a.user] = had
	if a.status != http.StatusOK {
		return
	}
	// All tokens of a user have to be of one uid. Which one is checked at the end.
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

// readUID returns the uid that all parts of a token name; empty if there is none.
func readUID(body []byte) string {
	var v struct{ UID, AuthToken, RefreshToken string }
	if json.Unmarshal(body, &v) != nil || v.UID == "" || subject(v.AuthToken) != v.UID || subject(v.RefreshToken) != v.UID {
		return ""
	}
	return v.UID
}

// subject returns the claim "sub" of a token, which the sandbox has signed.
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

// readMetrics reads Caddy's metrics. While the config is reloaded they may be missing.
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

// report makes the report once the run is over.
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
	ended := make(map[string]int64)
	for i, ends := range r.latencies {
		for _, end := range slices.Sorted(maps.Keys(ends)) {
			row(phases[i]+" "+end, ends[end])
			ended[end] += ends[end].Count()
		}
	}
	row("sent late by", &r.sendDelay)

	for _, name := range []string{process.MetricMemory, process.MetricGoroutines, process.MetricDescriptors} {
		if r.first[name] > 0 { // not every system tells
			report.Add(name+" at the start", r.first[name])
			report.Add(name+" at most", r.peak[name])
			report.Add(name+" at the end", r.last[name])
		}
	}
	cache := func(layer, result string) float64 {
		return r.last[fmt.Sprintf(`caddy_huma_cache_operations_total{layer=%q,result=%q}`, layer, result)]
	}
	report.Add("tokens from memory", cache("memory", "hit"))
	if o.redis {
		report.Add("tokens from Redis", cache("redis", "hit"))
		report.Add("operations of Redis that failed", cache("redis", "error")+cache("redis", "down"))
	}
	calls := u.Calls().ByOp
	for _, op := range slices.Sorted(maps.Keys(calls)) {
		report.Add("calls of "+op, float64(calls[op]))
	}
	report.Add("calls attempted during the fault", float64(r.faultCalls))
	report.Add("connections to the service", float64(u.proxy.Stats().Accepted))
	if r.firstToken >= 0 {
		report.Add("milliseconds from the fault's end to the first token of a user without one", tool.Millis(r.firstToken))
	}
	report.Add("reloads", float64(r.reloads))
	report.Add("reloads that failed", float64(r.failed))
	wrong, tokens, registered := r.compareUIDs(u)
	report.Add("users who asked", float64(len(r.uids)))
	report.Add("users who got a token", float64(tokens))
	report.Add("users whom the service knows", float64(registered))

	u.mu.Lock()
	defer u.mu.Unlock()
	what := findFault(o.fault)
	report.Violations = violations(wrong, u.secondSignUps, ended, allowed{failures: !what.redisOnly, garbage: what.garbles, lost: o.reload > 0})
	return report
}

// compareUIDs compares the uids of all tokens with the service's.
func (r *recorder) compareUIDs(u *upstream) (wrong, tokens, registered int) {
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

// allowed are the ends of requests other than a token that break no promise.
type allowed struct {
	failures bool // of the service: 503 and 504
	garbage  bool // of the service: 502
	lost     bool // by a reload: no response
}

// violations returns the promises that were broken. It is never nil.
func violations(wrong, again int, ended map[string]int64, a allowed) []string {
	texts := []string{}
	if wrong > 0 {
		texts = append(texts, fmt.Sprintf("tokens of another user: %d", wrong))
	}
	if again > 0 {
		texts = append(texts, fmt.Sprintf("second sign-ups of a user: %d", again))
	}
	for _, end := range slices.Sorted(maps.Keys(ended)) {
		if !a.expected(end) {
			texts = append(texts, fmt.Sprintf("unexpected responses %s: %d", end, ended[end]))
		}
	}
	return texts
}

// expected reports whether a request may end so.
func (a allowed) expected(end string) bool {
	status, reason, _ := strings.Cut(end, " ")
	switch n, _ := strconv.Atoi(status); n {
	case http.StatusOK:
		return true
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return a.failures
	case http.StatusBadGateway:
		return a.garbage
	}
	// Caddy itself loses a connection now and then when it reloads, but it does not
	// let a client wait in vain.
	return status == outcomeCanceled || status == outcomeNoResponse && a.lost && reason != "timeout"
}
