package exchange

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Outcome is the result of a request for a token.
type Outcome string

// The outcomes of successful requests. The outcome of a failure is its Code.
const (
	OutcomeHit        Outcome = "hit"        // from the cache
	OutcomeShared     Outcome = "shared"     // from an exchange that another request started
	OutcomeSignedIn   Outcome = "signed_in"  // from the request's own exchange
	OutcomeRegistered Outcome = "registered" // from the request's own exchange, after a sign-up
)

// Exchange obtains one new token from a service.
type Exchange interface {
	// Run requests the token. It runs detached from the request that started the
	// exchange. ctx ends at the deadline of the exchange. The error is an *Error.
	Run(ctx context.Context) (*Token, Outcome, error)

	// Finished is called once with the result, before the waiting callers get it, also if
	// the token of another replica was found in the shared store. If Run panicked, the
	// error of the Result wraps a *PanicError. Finished is not called for an exchange that
	// ended while it waited for its turn among the exchanges of its user.
	Finished(Result)
}

// Request is a request for a token.
type Request struct {
	User    UserKey
	Variant Variant
	Force   bool      // bypass the cache: the caller's last token was refused
	Since   time.Time // when the caller began to wait; zero: when Exchange is called
	Source  Source
	Policy  *Policy
}

// Source creates the Exchange of a request.
type Source interface {
	// Exchange is called at most once, before Exchange returns, if the caches do not have
	// the token. The returned Exchange must not use the request after Exchange has
	// returned.
	NewExchange() Exchange
}

// Result is the result of a request. Token is nil if and only if Err is set.
type Result struct {
	Token   *Token
	Outcome Outcome // empty if Err is set
	Err     error   // an *Error, or the context's error if ctx ended first

	// Cached reports that the result is from Cache or Forced, without an exchange.
	Cached bool

	// CacheErr is a *PanicError if a cache panicked while it stored the result. It is
	// set only in the Result that Finished gets.
	CacheErr error
}

// Limits on the exchanges of one user, of all variants together. At most MaxUserRunning
// run at once, unless Policy.UserRunning is set, and maxUserWaiting more wait for one
// of them to end. The limits keep capacity free for other users.
const (
	MaxUserRunning = 8
	maxUserWaiting = 8
)

// waitGrace is how much longer than its timeout a request waits, so that it gets the
// error of an exchange that ends at the same time.
const waitGrace = 250 * time.Millisecond

// Engine runs the exchanges of one account. It may be used by several goroutines at
// once.
type Engine struct {
	caches []Invalidator // cleared by Evict, EvictTokens and Flush

	mu        sync.Mutex
	users     map[UserKey]*userExchanges
	evictions evictions
	running   int           // exchanges of all users, including those that wait for their turn
	idle      chan struct{} // closed when the last exchange has ended; nil unless Wait is waiting
}

// userExchanges are the exchanges of one user. The entry is deleted when the last one
// has ended.
type userExchanges struct {
	flights []*flight
	slots   chan struct{} // a semaphore: one value for each exchange that runs
}

// NewEngine returns an engine without exchanges. Evict, EvictTokens and Flush clear
// all the given caches, including those that a particular handler does not use.
func NewEngine(caches ...Invalidator) *Engine {
	return &Engine{caches: caches, users: make(map[UserKey]*userExchanges), evictions: make(evictions)}
}

var (
	errOverloaded = &Error{
		Code: CodeOverloaded, RetryAfter: time.Second,
		Err: errors.New("too many exchanges are running or waiting: the limit is the option `max_waiting`"),
	}
	// ErrUserOverloaded is returned if the user of a request already has the maximum
	// number of running and waiting exchanges.
	ErrUserOverloaded = &Error{
		Code: CodeOverloaded, RetryAfter: time.Second,
		Err: errors.New("too many concurrent exchanges for this user"),
	}
	// ErrWaitedTooLong is returned if the timeout of a request passed before an
	// exchange ended.
	ErrWaitedTooLong = &Error{
		Code: CodeTimeout,
		Err:  errors.New("timed out waiting for a token exchange: the limit is the option `timeout`"),
	}
)

// Exchange returns a token after Request.Cached found none. The token comes from a
// running exchange, from a new one, or from the cache if it was stored there in the
// meantime. Exchange waits at most for the policy's Timeout, counted from req.Since,
// plus waitGrace.
func (e *Engine) Exchange(ctx context.Context, req *Request) Result {
	arrived := req.Since
	if arrived.IsZero() {
		arrived = time.Now()
	}
	waiting, cancel := context.WithDeadline(ctx, arrived.Add(req.Policy.Timeout+waitGrace))
	defer cancel()
	exchange := req.Source.NewExchange()
	for {
		f, started, r := e.join(ctx, req, exchange)
		if f == nil {
			return r
		}
		if err := f.wait(waiting, started); err != nil {
			if ctx.Err() == nil {
				err = ErrWaitedTooLong
			}
			return Result{Err: err}
		}
		switch {
		case started:
			return f.result
		case !req.Policy.allowsError(f.result.Err):
			continue // the policy of another handler decided this result
		case f.isEvicted() && !f.began.After(arrived):
			// The request may have arrived after the eviction, so it must not get an
			// older token. The result of an exchange that began after the request
			// arrived is used even if the user was evicted since. So a request waits
			// for two exchanges at most.
			continue
		case f.result.Err == nil:
			return Result{Token: f.result.Token, Outcome: OutcomeShared}
		}
		return f.result
	}
}

// join returns the running exchange of this user and variant, or starts one. If f is nil,
// r is the result. join repeats the cache lookup, because an exchange may have ended
// since the caller's lookup: an exchange stores its token before it leaves the list.
func (e *Engine) join(ctx context.Context, req *Request, m Exchange) (f *flight, started bool, r Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.users[req.User]
	if u != nil {
		for _, f := range u.flights {
			// A request with Force must not get a token that another replica has
			// fetched.
			if f.variant == req.Variant && !(req.Force && f.stored != nil) {
				f.force(req)
				return f, false, Result{}
			}
		}
	}
	if r, ok := req.Lookup(time.Now()); ok {
		return nil, false, r
	}
	switch {
	case e.running >= req.Policy.MaxWaiting:
		return nil, false, Result{Err: errOverloaded}
	case u == nil:
		u = &userExchanges{slots: make(chan struct{}, req.Policy.userRunning())}
		e.users[req.User] = u
	case len(u.flights) >= cap(u.slots)+maxUserWaiting:
		return nil, false, Result{Err: ErrUserOverloaded}
	}
	f = &flight{variant: req.Variant, began: time.Now(), done: make(chan struct{})}
	f.trace(ctx)
	f.force(req)
	u.flights = append(u.flights, f)
	e.running++
	go e.run(f, u.slots, req.User, m, req.Policy)
	return f, true, Result{}
}

// Idle reports whether no exchange is running.
func (e *Engine) Idle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running == 0
}

// Wait waits until no exchange is running. If ctx ends first, it returns ctx.Err().
func (e *Engine) Wait(ctx context.Context) error {
	e.mu.Lock()
	if e.running == 0 {
		e.mu.Unlock()
		return nil
	}
	if e.idle == nil {
		e.idle = make(chan struct{})
	}
	idle := e.idle
	e.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
