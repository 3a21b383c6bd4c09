package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/histogram"
	"github.com/caddy-huma/caddy-huma/internal/process"
)

// phase is when a request was due. One that was under way when the fault began
// has met the fault.
type phase int

// The phases of a run.
const (
	phaseBefore phase = iota
	phaseFault        // until the breaker is open; of the store, a second
	phaseRest         // of the fault
	phaseAfter
	phases
)

var (
	phaseNames      = [phases]string{"before", "fault", "fault, breaker open", "after"}
	storePhaseNames = [phases]string{"before", "fault, first second", "fault, rest", "after"}
)

// recorder keeps what comes of the requests of a run.
type recorder struct {
	start    time.Time
	tokens   bool                // answers hold tokens
	lateness histogram.Histogram // of the load itself
	timelineOf

	mu     sync.Mutex
	phases [phases]phaseRecord
	uids   map[string]string // uids by address; empty if a user has had no token yet
	wrong  int               // tokens of somebody else
	series []tenth
	sent   int

	tokenAfter   time.Duration // from the fault's end to the first token of a user who had none
	faultTraffic traffic       // during the whole fault
	firstTraffic traffic       // in its first 20 seconds
	opened       int           // how often the breaker did
	samples      []sample
	reloads      int
	reloadErrors int

	marks      []mark        // at the start, the fault's begin and end, and the end
	joined     chan struct{} // closed when Caddy has found the store
	storeDowns int           // how often Caddy said that it works without the store
}

// timelineOf is when things happened. Zero: not yet.
type timelineOf struct {
	faultFrom, faultEnd time.Time
	breakerOpened       time.Time // for the first time during the fault
	storeDown, storeUp  time.Time // what Caddy said first during the fault, and then

	// firstPart is how long the first part of the fault is; 0: until the breaker
	// is open.
	firstPart time.Duration
}

// restFrom is when the first part of the fault is over; zero if it is not.
func (t *timelineOf) restFrom() time.Time {
	if t.firstPart > 0 {
		return t.faultFrom.Add(t.firstPart)
	}
	return t.breakerOpened
}

// phaseRecord is what came of the requests of a phase.
type phaseRecord struct {
	answers map[string]int // by status and code
	latency [classes]histogram.Histogram
}

// class is a kind of answers whose latency is of interest.
type class int

const (
	classAll class = iota
	classTokens
	classTokensSent   // without what the load itself was late by
	classRefusals     // 503
	classRefusalsSent // likewise
	classes
)

// tenth is what came of the requests that were due in one tenth of a second.
type tenth struct{ answered, tokens int }

// sample is what the process used at a moment.
type sample struct {
	At float64 `json:"atSeconds"`
	process.Usage
}

func newRecorder(tokens bool) *recorder {
	r := &recorder{tokens: tokens, uids: make(map[string]string), tokenAfter: -1, joined: make(chan struct{})}
	for i := range r.phases {
		r.phases[i].answers = make(map[string]int)
	}
	return r
}

// asked notes that a user asks.
func (r *recorder) asked(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if _, ok := r.uids[user]; !ok {
		r.uids[user] = ""
	}
}

// Ends of requests without an answer.
const (
	endLeft = "left"
	endLost = "lost"
)

// end names how a request ended.
func (a answer) end() string {
	switch {
	case a.left:
		return endLeft
	case a.status == 0:
		return endLost + " " + a.code
	case a.code != "":
		return strconv.Itoa(a.status) + " " + a.code
	}
	return strconv.Itoa(a.status)
}

// record notes how a request ended.
func (r *recorder) record(a answer) {
	r.lateness.Add(a.sent.Sub(a.due))
	var uid string
	if r.tokens && a.status == http.StatusOK {
		uid = readUID(a.body)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.phases[r.phaseOf(a)]
	p.answers[a.end()]++
	if a.status == 0 {
		return
	}
	latency := a.at.Sub(a.due)
	p.latency[classAll].Add(latency)
	switch a.status {
	case http.StatusOK:
		p.latency[classTokens].Add(latency)
		p.latency[classTokensSent].Add(a.at.Sub(a.sent))
	case http.StatusServiceUnavailable:
		p.latency[classRefusals].Add(latency)
		p.latency[classRefusalsSent].Add(a.at.Sub(a.sent))
	}
	i := int(a.due.Sub(r.start) / (time.Second / 10))
	for len(r.series) <= i {
		r.series = append(r.series, tenth{})
	}
	r.series[i].answered++
	if a.status != http.StatusOK {
		return
	}
	r.series[i].tokens++
	if r.tokens {
		r.token(a, uid)
	}
}

// token checks whose token it is, as far as the answers tell: all that a user
// gets have to be of one and the same uid.
func (r *recorder) token(a answer, uid string) {
	had := r.uids[a.user]
	switch {
	case uid == "" || had != "" && had != uid:
		r.wrong++
	case had == "":
		r.uids[a.user] = uid
		if after := a.at.Sub(r.faultEnd); r.tokenAfter < 0 && !r.faultEnd.IsZero() && after >= 0 {
			r.tokenAfter = after
		}
	}
}

// phaseOf is the phase of a request that has ended.
func (r *recorder) phaseOf(a answer) phase {
	p := r.phase(a.due)
	if p == phaseBefore && !r.faultFrom.IsZero() && a.at.After(r.faultFrom) {
		return phaseFault
	}
	return p
}

// phase is the phase of a moment.
func (r *recorder) phase(due time.Time) phase {
	switch t := r.timelineOf; {
	case t.faultFrom.IsZero() || due.Before(t.faultFrom):
		return phaseBefore
	case !t.faultEnd.IsZero() && !due.Before(t.faultEnd):
		return phaseAfter
	}
	if rest := r.restFrom(); rest.IsZero() || due.Before(rest) {
		return phaseFault
	}
	return phaseRest
}

// phaseNames are those of the kind of fault that there is.
func (r *recorder) phaseNames() [phases]string {
	if r.firstPart > 0 {
		return storePhaseNames
	}
	return phaseNames
}

// readUID reads whose token an answer holds: the uid that all parts of it name.
// It is empty if there is none.
func readUID(body []byte) string {
	var v struct{ UID, AuthToken, RefreshToken string }
	if json.Unmarshal(body, &v) != nil || v.UID == "" || subject(v.AuthToken) != v.UID || subject(v.RefreshToken) != v.UID {
		return ""
	}
	return v.UID
}

// subject reads a token's claim "sub". Its signature is the sandbox's.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject string `json:"sub"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Subject
}

// faultBegins notes the begin of the fault, and how long its first part is.
func (r *recorder) faultBegins(firstPart time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faultFrom, r.firstPart = time.Now(), firstPart
}

// firstCalls notes what came to the service in the first seconds of a fault.
func (r *recorder) firstCalls(t traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.firstTraffic = t
}

// faultEnds notes the end of the fault and what came to the service during it.
func (r *recorder) faultEnds(t traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faultEnd, r.faultTraffic = time.Now(), t
}

// logLine looks for what Caddy's log tells of the breaker and of the store.
func (r *recorder) logLine(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch text := string(line); {
	case strings.Contains(text, `"breaker opened`):
		r.breakerOpens()
	case strings.Contains(text, `"the shared store cannot be used`):
		r.storeGoes()
	case strings.Contains(text, `"the shared store is there`):
		r.storeComes()
	}
}

func (r *recorder) breakerOpens() {
	r.opened++
	if r.breakerOpened.IsZero() && !r.faultFrom.IsZero() && r.faultEnd.IsZero() {
		r.breakerOpened = time.Now()
	}
}

func (r *recorder) storeGoes() {
	r.storeDowns++
	if r.storeDown.IsZero() && !r.faultFrom.IsZero() && r.faultEnd.IsZero() {
		r.storeDown = time.Now()
	}
}

func (r *recorder) storeComes() {
	select {
	case <-r.joined:
	default:
		close(r.joined)
	}
	if r.storeUp.IsZero() && !r.storeDown.IsZero() {
		r.storeUp = time.Now()
	}
}

// marked notes what the store and the service have been asked so far.
func (r *recorder) marked(m mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, m)
}

// reloaded notes a reload, and whether it failed.
func (r *recorder) reloaded(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reloads++
	if err != nil {
		r.reloadErrors++
	}
}

// use notes what the process uses.
func (r *recorder) use(u process.Usage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, sample{time.Since(r.start).Seconds(), u})
}
