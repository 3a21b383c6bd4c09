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
	tokenPath      = "/private/huma-token"
	userHeader     = "X-Soak-User"          // request header with the user's email address
	requestTimeout = 30 * time.Second       // timeout of a request, longer than that of the directive
	maxCancelAfter = 100 * time.Millisecond // maximum of request.cancelAfter
	recentUsers    = 1000                   // number of new users that may send further requests
	inFlight       = 10_000                 // maximum of concurrent requests; others are delayed, which is part of their latency
)

// load sends requests at a fixed rate.
type load struct {
	options  *options
	recorder *recorder
	url      string
	client   *http.Transport
	rand     *rand.Rand
	newUsers int
}

// newLoad returns the load for a URL, according to the flags.
func newLoad(o *options, r *recorder, url string) *load {
	return &load{
		options:  o,
		recorder: r,
		url:      url,
		client:   &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight, DisableCompression: true},
		rand:     rand.New(rand.NewPCG(o.seed, 0)),
	}
}

// knownUser returns the email address of a known user.
func knownUser(i int) string { return fmt.Sprintf("known-%d@soak.example", i) }

// newUser returns the email address of a new user.
func newUser(i int) string { return fmt.Sprintf("new-%d@soak.example", i) }

// request is a request to send.
type request struct {
	user        string
	due         time.Time
	noCache     bool
	cancelAfter time.Duration // when the client disconnects; 0: it does not
}

// run sends all requests and waits for their outcomes.
func (l *load) run(ctx context.Context) {
	defer l.client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, inFlight)
	for i := range int(l.options.rate * l.options.duration.Seconds()) {
		r := l.next(l.recorder.start.Add(time.Duration(float64(i) / l.options.rate * float64(time.Second))))
		if !sleepUntil(ctx, r.due) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			l.send(r)
			<-slots
		})
	}
}

// next returns the next request, which is chosen at random.
func (l *load) next(due time.Time) request {
	r := request{due: due, noCache: l.rand.Float64() < l.options.noCache}
	switch {
	case l.rand.Float64() < l.options.known:
		r.user = knownUser(l.rand.IntN(l.options.users))
	case l.newUsers > 0 && l.rand.Float64() < l.options.returning:
		r.user = newUser(l.newUsers - 1 - l.rand.IntN(min(l.newUsers, recentUsers)))
	default:
		r.user = newUser(l.newUsers)
		l.newUsers++
	}
	if l.rand.Float64() < l.options.cancel {
		r.cancelAfter = 1 + time.Duration(l.rand.Int64N(int64(maxCancelAfter)))
	}
	return r
}

// outcome is the result of a request.
type outcome struct {
	request
	sent, at time.Time
	status   int    // 0: no response
	code     string // code of the problem details; without a response, the reason
	body     []byte // if the status is 200
	canceled bool   // the client disconnected before the response
}

// send sends a request and records its outcome. It does not stop when the load is
// stopped.
func (l *load) send(r request) {
	wait := requestTimeout
	if r.cancelAfter > 0 {
		wait = r.cancelAfter
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	a := outcome{request: r, sent: time.Now()}
	err := l.exchange(ctx, &a)
	a.at = time.Now()
	if err != nil {
		a.status, a.code, a.canceled = 0, reason(err), r.cancelAfter > 0 && ctx.Err() != nil
	}
	l.recorder.record(a)
}

// reason returns why there was no response, as a word.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	}
	return "closed"
}

// exchange sends a request and reads the response.
func (l *load) exchange(ctx context.Context, a *outcome) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set(userHeader, a.user)
	if a.noCache {
		req.Header.Set("Cache-Control", "no-cache")
	}
	// Like other clients, the transport retries a request if an idle connection was closed.
	res, err := l.client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if a.status = res.StatusCode; a.status == http.StatusOK {
		a.body = body
		return nil
	}
	var problem struct{ Code string }
	_ = json.Unmarshal(body, &problem) // empty if the body is not problem details
	a.code = problem.Code
	return nil
}
