package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// tokenPath and comparePath are what is asked for.
	tokenPath   = "/private/huma-token"
	comparePath = "/respond"

	// userHeader says who is asking.
	userHeader = "X-Soak-User"

	// answerTime is how long an answer is waited for: much longer than the
	// directive's timeout.
	answerTime = 30 * time.Second

	// leaveTime is within what time callers leave who do.
	leaveTime = 100 * time.Millisecond

	// recentUsers is among how many new users those are chosen who ask again.
	recentUsers = 1000
)

// load sends requests when they are due.
type load struct {
	options
	*recorder
	url    string
	client *http.Transport
	rand   *rand.Rand
	newest int
}

func newLoad(o options, r *recorder, url string) *load {
	return &load{
		options:  o,
		recorder: r,
		url:      url,
		client:   &http.Transport{MaxIdleConns: o.inFlight, MaxIdleConnsPerHost: o.inFlight, DisableCompression: true},
		rand:     rand.New(rand.NewPCG(o.seed, 0)),
	}
}

func knownUser(i int) string { return fmt.Sprintf("known-%d@soak.example", i) }
func newUser(i int) string   { return fmt.Sprintf("new-%d@soak.example", i) }

// request is one request that is due.
type request struct {
	user   string
	due    time.Time
	fresh  bool
	leaves time.Duration // 0: its caller stays
}

// run sends all requests and waits for their ends.
func (l *load) run(ctx context.Context) {
	defer l.client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, l.inFlight)
	for i := range int(l.rate * l.duration.Seconds()) {
		r := l.next(l.start.Add(time.Duration(float64(i) / l.rate * float64(time.Second))))
		if !sleepUntil(ctx, r.due) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		l.asked(r.user)
		wg.Go(func() {
			l.send(r)
			<-slots
		})
	}
}

// next chooses who asks next, and how.
func (l *load) next(due time.Time) request {
	r := request{due: due, fresh: l.rand.Float64() < l.noCache}
	switch {
	case l.rand.Float64() < l.known:
		r.user = knownUser(l.rand.IntN(l.users))
	case l.newest > 0 && l.rand.Float64() < l.returning:
		r.user = newUser(l.newest - 1 - l.rand.IntN(min(l.newest, recentUsers)))
	default:
		r.user = newUser(l.newest)
		l.newest++
	}
	if l.rand.Float64() < l.callersLeave {
		r.leaves = 1 + time.Duration(l.rand.Int64N(int64(leaveTime)))
	}
	return r
}

// answer is how a request ended.
type answer struct {
	request
	sent, at time.Time
	status   int    // 0: there was no answer
	code     string // of a problem; without an answer, why there is none
	body     []byte // of a success
	left     bool   // the caller hung up before there was an answer
}

// send makes a request and records its end. It goes on when the load is
// stopped: whoever has asked is waited for.
func (l *load) send(r request) {
	wait := answerTime
	if r.leaves > 0 {
		wait = r.leaves
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	a := answer{request: r, sent: time.Now()}
	err := l.exchange(ctx, &a)
	a.at = time.Now()
	if err != nil {
		a.status, a.code, a.left = 0, reason(err), r.leaves > 0 && ctx.Err() != nil
	}
	l.record(a)
}

// reason says in a word or two why there was no answer.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	return "other"
}

// exchange sends a request and reads the answer.
func (l *load) exchange(ctx context.Context, a *answer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return err
	}
	req.Header[userHeader] = []string{a.user}
	if a.fresh {
		req.Header["Cache-Control"] = []string{"no-cache"}
	}
	// RoundTrip, as nothing is redirected. It sends a request again if a
	// connection that was kept alive had been closed, as every client does.
	res, err := l.client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	a.status = res.StatusCode
	if a.status == http.StatusOK {
		a.body = body
		return nil
	}
	var problem struct{ Code string }
	if json.Unmarshal(body, &problem) == nil {
		a.code = problem.Code
	}
	return nil
}
