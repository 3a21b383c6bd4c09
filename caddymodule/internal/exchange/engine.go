package exchange

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Outcome is how a request for a token ended.
type Outcome string

// The outcomes of an exchange. Failures have the outcome of their Code.
const (
	OutcomeHit        Outcome = "hit"        // from the cache
	OutcomeShared     Outcome = "shared"     // from somebody else's exchange
	OutcomeSignedIn   Outcome = "signed_in"  // from our own
	OutcomeRegistered Outcome = "registered" // from our own, after a sign-up
)

// Minter obtains one fresh token from a service.
type Minter interface {
	// Mint runs detached from the request that asked; ctx ends at the
	// deadline of the exchange. Its error is an *Error.
	Mint(ctx context.Context) (*Grant, Outcome, error)

	// Ended is called with the result, once, before those who wait get it. If
	// Mint panicked, the result's error wraps a *PanicError. It is not called
	// for an exchange that was never its user's turn.
	Ended(Result)
}

// Request asks for a token.
type Request struct {
	User   UserKey
	Kind   Kind
	Fresh  bool      // past the cache: the caller's last token was refused
	Since  time.Time // when the caller began to wait; zero: with the call of Exchange
	Source Source
	Policy *Policy
}

// Source makes the exchange of a request.
type Source interface {
	// Minter is called at most once, before Exchange returns, if the caches do not
	// have the token. What it returns must not need the request any more.
	Minter() Minter
}

// Result is what came of it. Grant is nil exactly if Err is set.
type Result struct {
	Grant   *Grant
	Outcome Outcome // empty with Err
	Err     error   // an *Error, or the context's error if the caller left

	// Kept says that it is what Cache or Recent has, and no exchange was needed.
	Kept bool

	// NotKept is why a store failed to keep it: a *PanicError. Only Ended is
	// told.
	NotKept error
}

// The exchanges of one user, of all kinds together: so many run at once at most,
// and so many more wait for one of them to end. What one user does leaves room
// for the others.
const (
	MaxUserRunning = 8
	maxUserWaiting = 8
)

// waitGrace is how much longer than its timeout a request waits for an exchange
// that ends at the same time, so that it gets that exchange's own error.
const waitGrace = 250 * time.Millisecond

// Engine runs the exchanges of one account.
type Engine struct {
	caches []Forgetter // what Forget, ForgetTokens and Flush reach

	mu        sync.Mutex
	users     map[UserKey]*userExchanges
	evictions evictions
	running   int           // of all users, those included that wait for their turn
	idle      chan struct{} // closed when the last exchange ended; nil if nobody waits for that
}

// userExchanges are the exchanges of one user. It exists while there are any.
type userExchanges struct {
	flights []*flight
	turns   chan struct{} // holds one value for each exchange that runs
}

// NewEngine returns an engine without exchanges. Forgetting a user reaches
// all the caches, also from a handler that does not use them.
func NewEngine(caches ...Forgetter) *Engine {
	return &Engine{caches: caches, users: make(map[UserKey]*userExchanges), evictions: make(evictions)}
}

var (
	errOverloaded = &Error{
		Code: CodeOverloaded, RetryAfter: time.Second,
		Err: errors.New("too many exchanges wait for the service: the limit is set by the option `max_waiting`"),
	}
	// ErrUserOverloaded is the error of a request whose user has too many
	// exchanges that run or wait.
	ErrUserOverloaded = &Error{
		Code: CodeOverloaded, RetryAfter: time.Second,
		Err: errors.New("too many exchanges of this user run or wait already"),
	}
	// ErrWaitedTooLong is the error of a request that was answered before its
	// exchange ended.
	ErrWaitedTooLong = &Error{
		Code: CodeTimeout,
		Err:  errors.New("no exchange ended in time: the limit is set by the option `timeout`"),
	}
)

// Exchange returns a token that Kept has not found: that of a running exchange,
// or of a new one; or after all the one that was kept meanwhile. It returns
// within the policy's Timeout since the caller began to wait, and waitGrace.
func (e *Engine) Exchange(ctx context.Context, req *Request) Result {
	arrived := req.Since
	if arrived.IsZero() {
		arrived = time.Now()
	}
	waiting, cancel := context.WithDeadline(ctx, arrived.Add(req.Policy.Timeout+waitGrace))
	defer cancel()
	minter := req.Source.Minter()
	for {
		f, started, r := e.join(ctx, req, minter)
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
		case !req.Policy.accepts(f.result.Err):
			continue // it was decided by another handler's rules
		case f.isEvicted() && !f.began.After(arrived):
			// The request may have come after the eviction. Of an exchange that
			// began later it takes the result, whatever was evicted since: so it
			// waits for two at most.
			continue
		case f.result.Err == nil:
			return Result{Grant: f.result.Grant, Outcome: OutcomeShared}
		}
		return f.result
	}
}

// join finds the running exchange of this user and kind or starts one. It
// looks at the cache once more: an exchange stores its token before it leaves
// the list, so between a miss and here one may have ended.
func (e *Engine) join(ctx context.Context, req *Request, m Minter) (f *flight, started bool, r Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := e.users[req.User]
	if u != nil {
		for _, f := range u.flights {
			// What another replica has fetched is not what is asked for past the cache.
			if f.kind == req.Kind && !(req.Fresh && f.stored != nil) {
				f.ask(req)
				return f, false, Result{}
			}
		}
	}
	if r, ok := req.Kept(time.Now()); ok {
		return nil, false, r
	}
	switch {
	case e.running >= req.Policy.MaxWaiting:
		return nil, false, Result{Err: errOverloaded}
	case u == nil:
		u = &userExchanges{turns: make(chan struct{}, req.Policy.userRunning())}
		e.users[req.User] = u
	case len(u.flights) >= cap(u.turns)+maxUserWaiting:
		return nil, false, Result{Err: ErrUserOverloaded}
	}
	f = &flight{kind: req.Kind, began: time.Now(), done: make(chan struct{})}
	f.trace(ctx)
	f.ask(req)
	u.flights = append(u.flights, f)
	e.running++
	go e.run(f, u.turns, req.User, m, req.Policy)
	return f, true, Result{}
}

// Idle reports whether no exchange runs.
func (e *Engine) Idle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running == 0
}

// Wait returns when no exchange runs any more, or when ctx ends.
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
