package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/faultproxy"
)

// fault is a fault of the service or of Redis.
type fault struct {
	name string

	// variants are values of sandbox.Fault (of the service) and faultproxy.Fault (of the
	// proxy). A random one is chosen at the start and after each period. A period of 0
	// means that it does not change.
	variants []any
	period   time.Duration

	garbles   bool // responses are garbled, so the status 502 is allowed
	redisOnly bool // only Redis fails, so each response must be a token
}

// faults are the values of -fault.
var faults = []fault{
	{name: "none", variants: []any{faultproxy.Fault{}}},
	{name: "refuse", variants: []any{faultproxy.Fault{Kind: faultproxy.Refuse}}},
	{name: "hang", variants: []any{faultproxy.Fault{Kind: faultproxy.Hang}}},
	{name: "slow", variants: []any{faultproxy.Fault{Delay: 2 * time.Second}}},
	{name: "errors", period: 20 * time.Millisecond, variants: []any{
		sandbox.Fault{Status: http.StatusInternalServerError},
		sandbox.Fault{Status: http.StatusBadGateway},
		sandbox.Fault{Status: http.StatusServiceUnavailable, Headers: http.Header{"Retry-After": {"1"}}},
		sandbox.Fault{Status: http.StatusServiceUnavailable, Headers: http.Header{"Retry-After": {"86400"}}},
		sandbox.Fault{Status: http.StatusGatewayTimeout},
		sandbox.Fault{Status: http.StatusTooManyRequests, Headers: http.Header{"Retry-After": {"1"}}},
		// The following sign-ups succeed although the response is an error.
		sandbox.Fault{Op: sandbox.OpSignUp, Status: http.StatusInternalServerError, Processed: true},
		sandbox.Fault{Op: sandbox.OpSignUp, Reset: sandbox.ResetAfter},
		sandbox.Fault{Op: sandbox.OpSignUp, AppearAfter: 2 * time.Second},
	}},
	{name: "reset", period: 100 * time.Millisecond, variants: []any{
		sandbox.Fault{Reset: sandbox.ResetBefore},
		sandbox.Fault{Reset: sandbox.ResetAfter},
		faultproxy.Fault{Kind: faultproxy.Reset},
		faultproxy.Fault{Kind: faultproxy.Reset, After: 1},
		faultproxy.Fault{Kind: faultproxy.Reset, After: 300},
		faultproxy.Fault{Kind: faultproxy.Cut},
		faultproxy.Fault{Kind: faultproxy.Cut, After: 300},
	}},
	{name: "garbage", garbles: true, variants: []any{sandbox.Fault{Garbage: true}}},
	{name: "mixed", garbles: true, period: 500 * time.Millisecond}, // see init
	{name: "redis-kill", redisOnly: true},
	{name: "redis-stop", redisOnly: true},
}

// init sets the variants of the fault mixed: those of all faults, and slow responses.
func init() {
	variants := []any{faultproxy.Fault{Slice: 20, Pause: time.Millisecond}, faultproxy.Fault{Slice: 1, Pause: time.Second}}
	for _, f := range faults {
		variants = append(variants, f.variants...)
	}
	faults[slices.Index(faultNames(), "mixed")].variants = variants
}

// faultNames returns the names of all faults.
func faultNames() (names []string) {
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}

// findFault returns the fault with a name. It panics if there is none.
func findFault(name string) fault { return faults[slices.Index(faultNames(), name)] }

// begin starts the fault, or changes to another random variant.
func (f fault) begin(u *upstream) error {
	switch f.name {
	case "redis-kill":
		u.redis.Kill()
		return nil
	case "redis-stop":
		return u.redis.Stop()
	}
	if err := f.end(u); err != nil {
		return err
	}
	switch v := f.variants[u.rand.IntN(len(f.variants))].(type) {
	case sandbox.Fault:
		return u.SetFaults([]sandbox.Fault{v})
	default:
		return u.proxy.Set(v.(faultproxy.Fault))
	}
}

// end ends the fault.
func (f fault) end(u *upstream) error {
	switch f.name {
	case "redis-kill":
		return u.redis.Run(context.Background()) // without ctx, which may be canceled
	case "redis-stop":
		return u.redis.Continue()
	}
	if err := u.SetFaults(nil); err != nil {
		return err
	}
	return u.proxy.Set(faultproxy.Fault{})
}

// schedule starts and ends the fault of -fault at the right times.
func (o *options) schedule(ctx context.Context, u *upstream, r *recorder) error {
	f := findFault(o.fault)
	if f.name == "none" || o.faultFrom > 0 && !sleepUntil(ctx, r.start.Add(o.faultFrom)) {
		return nil
	}
	before, end := u.proxy.Stats().Requests, r.start.Add(o.faultFrom+o.faultFor)
	r.update(func() { r.faultFrom = time.Now() })
	if err := f.begin(u); err != nil {
		return err
	}
	for f.period > 0 && time.Until(end) > f.period && sleepUntil(ctx, time.Now().Add(f.period)) {
		if err := f.begin(u); err != nil {
			return err
		}
	}
	sleepUntil(ctx, end)
	calls := u.proxy.Stats().Requests - before
	if err := f.end(u); err != nil {
		return err
	}
	r.update(func() { r.faultEnd, r.faultCalls = time.Now(), calls })
	return nil
}
