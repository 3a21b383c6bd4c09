package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// Report is what the program tells. Durations are in milliseconds.
type Report struct {
	Machine string            `json:"machine"`
	Options map[string]string `json:"options"`
	Run     *Run              `json:"run"`
	Respond *Run              `json:"respond,omitempty"` // the same of Caddy's own respond

	// Broken are the promises that were not kept.
	Broken []string `json:"broken"`
}

// Run is what came of one load on one Caddy.
type Run struct {
	Path    string         `json:"path"`
	Sent    int            `json:"sent"`
	Answers map[string]int `json:"answers"` // by status and code; "left": the caller hung up; "lost" and why: no answer
	Reloads int            `json:"reloads"`

	// ReloadErrors are reloads without an answer, or with an error.
	ReloadErrors int `json:"reloadErrors"`

	// Lateness is how much later than they were due requests were sent: what
	// the load itself adds to the latencies.
	Lateness Quantiles `json:"latenessMs"`
	Phases   []Phase   `json:"phases"`

	Upstream Upstream `json:"upstream"`
	Accounts Accounts `json:"accounts"`
	Recovery Recovery `json:"recovery"`
	Store    *Store   `json:"store,omitempty"`

	Start   Footprint     `json:"start"`
	Peak    process.Usage `json:"peak"`
	End     Footprint     `json:"end"`
	Samples []sample      `json:"samples"`
}

// Phase is what came of the requests of a part of a run.
type Phase struct {
	Name     string         `json:"name"`
	Answers  map[string]int `json:"answers"`
	All      Quantiles      `json:"allMs"`
	Tokens   Quantiles      `json:"tokensMs"`
	Refusals Quantiles      `json:"refusalsMs"` // the 503

	// These count from when requests were sent, not from when they were due: what
	// is left is Caddy's, and the machine's.
	TokensSent   Quantiles `json:"tokensSentMs"`
	RefusalsSent Quantiles `json:"refusalsSentMs"`

	// RSS is the resident memory at the begin and at the end of the phase.
	RSS [2]process.Amount `json:"rssBytes"`
}

// Quantiles describe durations, in milliseconds.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func quantiles(h *histogram.Histogram) Quantiles {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Quantiles{
		h.Count(), ms(h.Quantile(0.5)), ms(h.Quantile(0.9)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max()),
	}
}

// Upstream is what the service saw.
type Upstream struct {
	Calls       map[string]int `json:"calls"`       // that the sandbox answered, by operation
	Connections int64          `json:"connections"` // at the proxy in front of it

	// During the fault: attempted calls (also swallowed and reset ones), and
	// connections that were refused. Those are counted on the whole machine.
	FaultCalls      int64          `json:"faultCalls"`
	FaultRefused    process.Amount `json:"faultRefused"`
	First20Calls    int64          `json:"first20sCalls"` // both, in its first 20 seconds
	BreakerOpened   int            `json:"breakerOpened"`
	BreakerOpenedMs float64        `json:"breakerOpenedMs"` // after the fault's begin; -1 if it did not
}

// Accounts compares who asked with who is registered.
type Accounts struct {
	Asked         int `json:"asked"`         // users
	GotToken      int `json:"gotToken"`      // users
	Registered    int `json:"registered"`    // at the service, with those who were from the start
	SecondSignUps int `json:"secondSignUps"` // sign-ups that should not have been sent
	WrongTokens   int `json:"wrongTokens"`
}

// Recovery is how long after the fault's end, in milliseconds, tokens came
// again; -1 if they did not, or there was no fault.
type Recovery struct {
	FirstToken float64 `json:"firstTokenMs"` // of a user who had none before
	Most       float64 `json:"mostMs"`       // from when on at least 99 % of a second's answers were tokens
}

// Footprint is what the process used, with nothing to do.
type Footprint struct {
	process.Usage
	LiveHeap process.Amount `json:"liveHeapBytes"`
}

// fill takes everything over once the run is over.
func (run *Run) fill(r *recorder, u *upstream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run.Sent, run.Samples = r.sent, r.samples
	run.Reloads, run.ReloadErrors = r.reloads, r.reloadErrors
	run.Lateness = quantiles(&r.lateness)
	run.Answers = make(map[string]int)
	names := r.phaseNames()
	for i := range r.phases {
		p := &r.phases[i]
		for end, n := range p.answers {
			run.Answers[end] += n
		}
		if len(p.answers) > 0 {
			run.Phases = append(run.Phases, Phase{
				Name:         names[i],
				Answers:      p.answers,
				All:          quantiles(&p.latency[classAll]),
				Tokens:       quantiles(&p.latency[classTokens]),
				TokensSent:   quantiles(&p.latency[classTokensSent]),
				Refusals:     quantiles(&p.latency[classRefusals]),
				RefusalsSent: quantiles(&p.latency[classRefusalsSent]),
				RSS:          r.rss(phase(i)),
			})
		}
	}
	run.Peak = run.Start.Usage
	for _, s := range r.samples {
		run.Peak.RSS = max(run.Peak.RSS, s.RSS)
		run.Peak.Goroutines = max(run.Peak.Goroutines, s.Goroutines)
		run.Peak.Descriptors = max(run.Peak.Descriptors, s.Descriptors)
	}
	run.Upstream = r.upstream(u)
	run.Accounts = r.accounts(u)
	run.Recovery = r.recovery()
	run.Store = r.storeReport()
}

// rss is the resident memory at the first and the last look during a phase.
func (r *recorder) rss(p phase) [2]process.Amount {
	v := [2]process.Amount{process.Unknown, process.Unknown}
	for _, s := range r.samples {
		if r.phase(r.start.Add(time.Duration(s.At*float64(time.Second)))) != p {
			continue
		}
		if v[1] = s.RSS; v[0] == process.Unknown {
			v[0] = s.RSS
		}
	}
	return v
}

func (r *recorder) upstream(u *upstream) Upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	return Upstream{
		Calls:           maps.Clone(u.byOp),
		Connections:     u.proxy.Stats().Accepted,
		FaultCalls:      r.faultTraffic.requests,
		FaultRefused:    r.faultTraffic.refused,
		First20Calls:    r.firstTraffic.calls(),
		BreakerOpened:   r.opened,
		BreakerOpenedMs: msBetween(r.faultFrom, r.breakerOpened),
	}
}

// msBetween is the time from one event to a later one; -1 if one of them did not
// happen. They were seen in different places: what looks earlier was at once.
func msBetween(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return -1
	}
	return float64(max(0, to.Sub(from).Milliseconds()))
}

// accounts compares every token's uid with the user's at the service.
func (r *recorder) accounts(u *upstream) Accounts {
	uids := make(map[string]string)
	for _, user := range u.Users() {
		uids[user.Email] = user.UID
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a := Accounts{Asked: len(r.uids), Registered: len(uids), SecondSignUps: u.again, WrongTokens: r.wrong}
	for user, uid := range r.uids {
		if uid == "" {
			continue
		}
		a.GotToken++
		if uid != uids[user] {
			a.WrongTokens++
		}
	}
	return a
}

func (r *recorder) recovery() Recovery {
	v := Recovery{-1, -1}
	if r.faultEnd.IsZero() {
		return v
	}
	if r.tokenAfter >= 0 {
		v.FirstToken = float64(r.tokenAfter.Milliseconds())
	}
	const second = 10 // tenths
	for i := int(r.faultEnd.Sub(r.start)/(time.Second/10)) + 1; i >= 0 && i+second <= len(r.series); i++ {
		var sum tenth
		for _, t := range r.series[i : i+second] {
			sum.answered += t.answered
			sum.tokens += t.tokens
		}
		if sum.answered > 0 && sum.tokens*100 >= sum.answered*99 {
			from := r.start.Add(time.Duration(i) * time.Second / 10)
			v.Most = float64(from.Sub(r.faultEnd).Milliseconds())
			break
		}
	}
	return v
}

// allowed says what else than a token may come of a request.
type allowed struct {
	failures bool // of the service: 503 and 504
	garbage  bool // of the service: 502
	lost     bool // by a reload: no answer
}

// judge says which promises were broken.
func (r *Report) judge(a allowed) {
	r.Broken = []string{} // in JSON a list, also without any
	broken := func(n int, what string) {
		if n > 0 {
			r.Broken = append(r.Broken, fmt.Sprintf("%s: %d", what, n))
		}
	}
	broken(r.Run.Accounts.WrongTokens, "tokens of somebody else")
	broken(r.Run.Accounts.SecondSignUps, "second sign-ups of a user")
	unexpected := make(map[string]int)
	for end, n := range r.Run.Answers {
		if !a.expected(end) {
			unexpected[end] += n
		}
	}
	for _, end := range slices.Sorted(maps.Keys(unexpected)) {
		broken(unexpected[end], "unexpected answers "+end)
	}
}

// expected reports whether a request may end so.
func (a allowed) expected(end string) bool {
	status, _, _ := strings.Cut(end, " ")
	switch n, _ := strconv.Atoi(status); n {
	case http.StatusOK:
		return true
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return a.failures
	case http.StatusBadGateway:
		return a.garbage
	}
	// Caddy itself loses a connection now and then when it reloads. Who waited
	// in vain was lost by nobody else.
	return status == endLeft || status == endLost && a.lost && end != endLost+" timeout"
}
