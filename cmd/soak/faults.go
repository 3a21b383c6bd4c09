package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/faultproxy"
	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// fault is a way for the service, or for the store, to fail: begin is called
// once, or again and again with a period.
type fault struct {
	name    string
	period  time.Duration
	garbles bool // answers are not what they should be, so 502 is right
	begin   func(*failing) error

	// ofStore says that the store fails, and the service does not: end is what
	// ends it, and every answer has to be a token.
	ofStore bool
	end     func(*failing) error
}

// failing is the service of a run, and the store.
type failing struct {
	*upstream
	options
	store *redisserver.Server // nil: there is none
	rand  *rand.Rand
}

func newFailing(u *upstream, store *redisserver.Server, o options) *failing {
	return &failing{upstream: u, options: o, store: store, rand: rand.New(rand.NewPCG(o.seed, 1))}
}

// faults are the values of -fault.
var faults []fault

func init() {
	// Not in the declaration: mixed chooses from the others.
	faults = []fault{
		{name: "none", begin: func(f *failing) error { return f.mend() }},
		{name: "refuse", begin: proxied(faultproxy.Fault{Kind: faultproxy.Refuse})},
		{name: "hang", begin: proxied(faultproxy.Fault{Kind: faultproxy.Hang})},
		{name: "slow", begin: func(f *failing) error { return f.proxy.Set(faultproxy.Fault{Delay: f.slowBy}) }},
		{name: "errors", period: 20 * time.Millisecond, begin: (*failing).someError},
		{name: "reset", period: 100 * time.Millisecond, begin: (*failing).someReset},
		{name: "garbage", garbles: true, begin: func(f *failing) error {
			return f.SetFaults([]sandbox.Fault{{Garbage: true}})
		}},
		{name: "mixed", period: 500 * time.Millisecond, garbles: true, begin: (*failing).something},
		{
			name: "redis-kill", ofStore: true,
			begin: func(f *failing) error { f.store.Kill(); return nil },
			end:   func(f *failing) error { return f.store.Run(context.Background()) }, // also when the load was interrupted
		},
		{
			name: "redis-stop", ofStore: true,
			begin: func(f *failing) error { return f.store.Stop() },
			end:   func(f *failing) error { return f.store.Continue() },
		},
	}
}

func faultNames() []string {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}

func findFault(name string) fault {
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	return faults[0]
}

func proxied(f faultproxy.Fault) func(*failing) error {
	return func(s *failing) error { return s.proxy.Set(f) }
}

// mend ends all faults of the service.
func (f *failing) mend() error {
	if err := f.SetFaults(nil); err != nil {
		return err
	}
	return f.proxy.Set(faultproxy.Fault{})
}

// someError is one of the ways in which a service says that it fails, and of
// those in which a sign-up works although it does not look so.
func (f *failing) someError() error {
	after := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	all := []sandbox.Fault{
		{Status: http.StatusInternalServerError},
		{Status: http.StatusBadGateway},
		{Status: http.StatusServiceUnavailable, Headers: after("1")},
		{Status: http.StatusServiceUnavailable, Headers: after("86400")},
		{Status: http.StatusGatewayTimeout},
		{Status: http.StatusTooManyRequests, Headers: after("1")},
		{Op: sandbox.OpSignUp, Status: http.StatusInternalServerError, Processed: true},
		{Op: sandbox.OpSignUp, Reset: sandbox.ResetAfter},
		{Op: sandbox.OpSignUp, AppearAfter: 2 * time.Second},
	}
	return f.SetFaults([]sandbox.Fault{all[f.rand.IntN(len(all))]})
}

// someReset breaks connections at some point.
func (f *failing) someReset() error {
	all := []faultproxy.Fault{
		{Kind: faultproxy.ResetBefore},
		{Kind: faultproxy.ResetSent},
		{Kind: faultproxy.Reset},
		{Kind: faultproxy.Reset, After: 1 + f.rand.IntN(500)},
		{Kind: faultproxy.Cut, After: f.rand.IntN(500)},
	}
	return f.proxy.Set(all[f.rand.IntN(len(all))])
}

// something is any fault, and now and then none.
func (f *failing) something() error {
	if err := f.mend(); err != nil {
		return err
	}
	others := slices.IndexFunc(faults, func(f fault) bool { return f.name == "mixed" })
	switch i := f.rand.IntN(others + 2); {
	case i < others:
		return faults[i].begin(f)
	case i == others:
		return f.proxy.Set(faultproxy.Fault{Slice: 20, Pause: time.Millisecond})
	default:
		return f.proxy.Set(faultproxy.Fault{Slice: 1, Pause: time.Second})
	}
}

// firstCalls is for how long after its begin the calls during a fault are
// counted: few should come once the breaker is open.
const firstCalls = 20 * time.Second

// storeNoticed is within what time of a fault of the store everything has to be
// as if there were none.
const storeNoticed = time.Second

// schedule lets the fault happen when it is due, and notes when it did.
func (f *failing) schedule(ctx context.Context, r *recorder) error {
	what := findFault(f.fault)
	if what.name == "none" || f.faultFrom > 0 && !sleepUntil(ctx, r.start.Add(f.faultFrom)) {
		return nil
	}
	if err := f.mark(r); err != nil {
		return err
	}
	begin, firstPart := f.traffic(), time.Duration(0)
	if what.ofStore {
		firstPart = storeNoticed
	}
	r.faultBegins(firstPart)
	if err := what.begin(f); err != nil {
		return err
	}
	first := time.AfterFunc(firstCalls, func() { r.firstCalls(f.traffic().since(begin)) })
	end := r.start.Add(f.faultFrom + f.faultFor)
	if what.period == 0 {
		sleepUntil(ctx, end)
	}
	for what.period > 0 && sleepUntil(ctx, earlier(time.Now().Add(what.period), end)) && time.Now().Before(end) {
		if err := what.begin(f); err != nil {
			return err
		}
	}
	during := f.traffic().since(begin)
	if err := what.ends(f); err != nil {
		return err
	}
	if first.Stop() {
		r.firstCalls(during)
	}
	r.faultEnds(during)
	return f.mark(r)
}

func (f *fault) ends(s *failing) error {
	if f.ofStore {
		return f.end(s)
	}
	return s.mend()
}

// sleepUntil returns whether the time has come before ctx ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
