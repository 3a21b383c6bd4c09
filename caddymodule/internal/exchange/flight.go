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
	ctx    context.Context // of the trace of the request that started it, and nothing else
	span   tracing.Span
	kind   Kind
	began  time.Time
	fresh  time.Time // when somebody first asked for it past the cache; zero if nobody did
	stored *Record   // another replica has fetched the result
	done   chan struct{}
	result Result // valid once done is closed

	// The user was evicted meanwhile: a token that comes of it is not cached,
	// and with evictedAll neither is a refusal.
	evicted, evictedAll bool
}

// isEvicted reports whether the result belongs to the time before an eviction.
func (f *flight) isEvicted() bool { return f.evictedAll || f.evicted && f.result.Err == nil }

// ask notes a request that wants a fresh token: this one is.
func (f *flight) ask(req *Request) {
	if req.Fresh && f.fresh.IsZero() {
		f.fresh = time.Now()
	}
}

// run is an exchange. It takes nothing of the request's that started it: that
// caller may leave, and the others still want the token.
func (e *Engine) run(f *flight, turns chan struct{}, user UserKey, m Minter, p *Policy) {
	defer e.end(f, user)
	defer f.traced()
	ctx, cancel := context.WithTimeout(WithUser(f.ctx, user), p.Timeout)
	defer cancel()
	if !takeTurn(ctx, turns, p.Timeout/2) {
		f.result = Result{Err: ErrUserOverloaded}
		return
	}
	defer func() { <-turns }()
	seen, found := e.stored(ctx, f, user, p)
	if !found {
		f.result = mint(ctx, m).of(p)
		e.share(ctx, f, user, p, seen)
	}
	report := f.result
	report.NotKept = e.keep(f, user, p)
	defer func() { _ = recover() }() // whatever a report does, the token is there
	m.Ended(report)
}

// takeTurn waits until an exchange of the user may run. It
// waits for a part of the time there is: the rest is for the exchange.
func takeTurn(ctx context.Context, turns chan<- struct{}, atMost time.Duration) bool {
	select {
	case turns <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	select {
	case turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// mint calls the Minter. A panic in it is one failed exchange and nothing else.
func mint(ctx context.Context, m Minter) (r Result) {
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			r = Result{Err: &Error{Code: CodeUnavailable, Err: &PanicError{Stack: debug.Stack()}}}
		}
	}()
	grant, outcome, err := m.Mint(ctx)
	if err != nil {
		return Result{Err: err}
	}
	return Result{Grant: grant, Outcome: outcome}
}

// of marks a rejection as that of a handler: the service has rejected what this
// handler sent for the user, and may accept what another one sends.
func (r Result) of(p *Policy) Result {
	var e *Error
	if errors.As(r.Err, &e) && e.Code == CodeRejected {
		rejected := *e
		rejected.by = p
		r.Err = &rejected
	}
	return r
}

// keep keeps what came of an exchange, unless the user was forgotten meanwhile.
// It comes before end: whoever does not find the exchange any more finds its
// token. A store that panics costs no more than what it should have kept.
func (e *Engine) keep(f *flight, user UserKey, p *Policy) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			err = &PanicError{Stack: debug.Stack()}
		}
	}()
	switch {
	case f.evictedAll:
		for _, s := range e.caches { // what the Minter has noted meanwhile, too
			s.Forget(user)
		}
	case f.isEvicted():
		for _, s := range e.caches {
			s.ForgetTokens(user)
		}
	case p.Cache == nil:
	case f.stored == nil:
		p.keep(user, f.kind, f.fresh, f.result)
	default:
		p.Cache.Put(user, f.kind, *f.stored)
	}
	return nil
}

// end wakes those who wait for an exchange.
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

// trace begins the flight's span, under that of the request that starts it. The
// flight does not end with the request.
func (f *flight) trace(ctx context.Context) {
	f.ctx, f.span = tracing.Start(tracing.Detached(ctx), "exchange")
}

// traced ends it.
func (f *flight) traced() {
	if err := f.result.Err; err != nil {
		f.span.Fail(string(asError(err).Code))
	} else {
		f.span.Outcome(string(f.result.Outcome))
	}
	f.span.End()
}

// wait waits for an exchange until ctx ends. In the trace of somebody who has
// not started it is a link to it.
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
