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
	userHeader     = "X-Soak-User"          // identifies the user of a request
	requestTimeout = 30 * time.Second       // timeout of a request, much longer than the directive's
	maxCancelAfter = 100 * time.Millisecond // within which clients hang up that do
	recentUsers    = 1000                   // new users of whom some send another request
	inFlight       = 10_000                 // Requests beyond are sent late, which counts as latency.
)

// load sends requests when they are due.
type load struct {
	options  *options
	recorder *recorder
	url      string
	client   *http.Transport
	rand     *rand.Rand
	newUsers int
}

func newLoad(o *options, r *recorder, url string) *load {
	return &load{
		options:  o,
		recorder: r,
		url:      url,
		client:   &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight, DisableCompression: true},
		rand:     rand.New(rand.NewPCG(o.seed, 0)),
	}
}

func knownUser(i int) string { return fmt.Sprintf("known-%d@soak.example", i) }
func newUser(i int) string   { return fmt.Sprintf("new-%d@soak.example", i) }

// request is one request that is due.
type request struct {
	user        string
	due         time.Time
	noCache     bool
	cancelAfter time.Duration // after which its client hangs up; 0: it does not
}

// run sends all requests and waits for their ends.
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

// next chooses the next request.
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

// outcome is how a request ended.
type outcome struct {
	request
	sent, at time.Time
	status   int    // 0: no response
	code     string // of a problem; without a response, the reason
	body     []byte // of a success
	canceled bool   // The client hung up before there was a response.
}

// send makes a request and records its end. It goes on when the load is stopped.
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

// reason returns in a word why there was no response.
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
	// The transport sends a request again if an idle connection had been closed, as
	// every client does.
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
	_ = json.Unmarshal(body, &problem) // no code if it is no problem
	a.code = problem.Code
	return nil
}
