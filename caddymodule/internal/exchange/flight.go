package exchange

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/tracing"
)

// flight is one exchange and the requests that wait for it.
type flight struct {
	ctx      context.Context // has only the trace of the request that started the flight
	span     tracing.Span
	variant  Variant
	began    time.Time
	forcedAt time.Time // when the first request with Force joined; zero if there is none
	stored   *Record   // the result that another replica has fetched; nil otherwise
	done     chan struct{}
	result   Result // valid once done is closed

	// The user was evicted since the flight began: its token is not cached. With
	// evictedAll, its refusal is not cached either.
	evicted, evictedAll bool
}

// isEvicted reports whether the result is older than an eviction.
func (f *flight) isEvicted() bool { return f.evictedAll || f.evicted && f.result.Err == nil }

// force records that a request with Force has joined. The token of the flight is fresh.
func (f *flight) force(req *Request) {
	if req.Force && f.forcedAt.IsZero() {
		f.forcedAt = time.Now()
	}
}

// run runs an exchange. It uses nothing of the request that started it: that client may
// disconnect while others still wait for the token.
func (e *Engine) run(f *flight, slots chan struct{}, user UserKey, m Exchange, p *Policy) {
	defer e.end(f, user)
	defer f.traced()
	ctx, cancel := context.WithTimeout(WithUser(f.ctx, user), p.Timeout)
	defer cancel()
	if !acquireSlot(ctx, slots, p.Timeout/2) {
		f.result = Result{Err: ErrUserOverloaded}
		return
	}
	defer func() { <-slots }()
	seen, found := e.stored(ctx, f, user, p)
	if !found {
		f.result = runExchange(ctx, m).withPolicy(p)
		e.share(ctx, f, user, p, seen)
	}
	report := f.result
	report.CacheErr = e.store(f, user, p)
	defer func() { _ = recover() }() // a panic in Finished does not cost the token
	m.Finished(report)
}

// acquireSlot waits at most atMost until an exchange of the user may run. It reports false
// if none may. The rest of the timeout remains for the exchange.
func acquireSlot(ctx context.Context, slots chan<- struct{}, atMost time.Duration) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// runExchange calls the Exchange. A panic in it fails this exchange and nothing else.
func runExchange(ctx context.Context, m Exchange) (r Result) {
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			r = Result{Err: &Error{Code: CodeUnavailable, Err: &PanicError{Stack: debug.Stack()}}}
		}
	}()
	token, outcome, err := m.Run(ctx)
	if err != nil {
		return Result{Err: err}
	}
	return Result{Token: token, Outcome: outcome}
}

// withPolicy sets the policy of a rejection. The service has rejected the request of this
// handler, and may accept that of another handler.
func (r Result) withPolicy(p *Policy) Result {
	var e *Error
	if errors.As(r.Err, &e) && e.Code == CodeRejected {
		rejected := *e
		rejected.by = p
		r.Err = &rejected
	}
	return r
}

// store caches the result of an exchange, unless the user was evicted in the meantime.
// It must run before end, so that a request that does not find the exchange any more
// finds its token. If a cache panics, the result is not cached, and nothing else fails.
func (e *Engine) store(f *flight, user UserKey, p *Policy) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			err = &PanicError{Stack: debug.Stack()}
		}
	}()
	switch {
	case f.evictedAll:
		for _, s := range e.caches { // including what the Exchange has stored in the meantime
			s.Evict(user)
		}
	case f.isEvicted():
		for _, s := range e.caches {
			s.EvictTokens(user)
		}
	case p.Cache == nil:
	case f.stored == nil:
		p.store(user, f.variant, f.forcedAt, f.result)
	default:
		p.Cache.Put(user, f.variant, *f.stored)
	}
	return nil
}

// end removes an exchange from the list and wakes its waiters.
func (e *Engine) end(f *flight, user UserKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(user, f)
	if e.running--; e.running == 0 && e.idle != nil {
		close(e.idle)
		e.idle = nil
	}
	close(f.done)
}

func (e *Engine) remove(user UserKey, f *flight) {
	u := e.users[user]
	u.flights = slices.DeleteFunc(u.flights, func(other *flight) bool { return other == f })
	if len(u.flights) == 0 {
		delete(e.users, user)
	}
}

// trace starts the flight's span as a child of the span of the request that starts the
// flight. The flight does not end with the request.
func (f *flight) trace(ctx context.Context) {
	f.ctx, f.span = tracing.Start(tracing.Detached(ctx), "exchange")
}

// traced ends the flight's span.
func (f *flight) traced() {
	if err := f.result.Err; err != nil {
		f.span.Fail(string(asError(err).Code))
	} else {
		f.span.Outcome(string(f.result.Outcome))
	}
	f.span.End()
}

// wait waits until the exchange has ended or ctx ends. If the request did not start the
// exchange, its trace gets a span that links to the exchange.
func (f *flight) wait(ctx context.Context, started bool) error {
	if !started {
		defer tracing.StartWait(ctx, "wait for a running exchange", f.ctx).End()
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
