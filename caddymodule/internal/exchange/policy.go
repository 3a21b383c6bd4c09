package exchange

import (
	"errors"
	"time"
)

// forcedFor is how long the result of a request with Force, a token or an error, is also
// returned to further requests with Force.
const forcedFor = 5 * time.Second

// Policy says how the exchanges of one handler run and how their results are cached.
type Policy struct {
	Timeout     time.Duration // of a whole exchange
	TTL         time.Duration // how long a token may be cached
	Margin      time.Duration // a cache returns no token in the last Margin of its lifetime,
	MarginPart  int           // or in the last 1/MarginPart of it, if that is shorter; 0: always Margin
	NegativeTTL time.Duration // how long a refusal may be cached; 0: not at all
	MaxWaiting  int           // maximum number of exchanges that run or wait, over all users
	UserRunning int           // maximum number of exchanges of one user that run at once; 0: MaxUserRunning
	Registers   bool          // unknown users are signed up

	Cache  Store // nil: nothing is cached
	Forced Store // results of requests with Force, for forcedFor; nil if Cache is nil

	Shared SharedStore // shared by all replicas, behind Cache; nil: there are no other replicas
}

// userRunning returns how many exchanges of one user may run at once.
func (p *Policy) userRunning() int {
	if p.UserRunning == 0 {
		return MaxUserRunning
	}
	return p.UserRunning
}

// Lookup looks up a result that needs no exchange. A request with Force gets only the
// recent result of another request with Force, which may be an error.
func (r *Request) Lookup(now time.Time) (Result, bool) {
	p := r.Policy
	if p.Cache == nil {
		return Result{}, false
	}
	if r.Force {
		rec, ok := p.Forced.Get(r.User, r.Variant, now)
		return cachedResult(rec), ok && rec.age(now) >= 0 && p.allowsError(rec.error())
	}
	rec, ok := p.Cache.Get(r.User, r.Variant, now)
	if !ok || !p.isFresh(rec, now) || !p.allowsError(rec.error()) || p.Shared != nil && rec.isStale(now) && p.Shared.Up() {
		return Result{}, false
	}
	return cachedResult(rec), true
}

// isFresh reports whether a record is younger than the handler's TTL or NegativeTTL,
// which may be shorter now than when the record was stored.
func (p *Policy) isFresh(rec Record, now time.Time) bool {
	ttl := p.TTL
	if rec.Err != nil {
		ttl = p.NegativeTTL
	}
	age := rec.age(now)
	return age >= 0 && age < ttl
}

// age returns the age of a record. It is negative if the clock was set back; then the
// real age is unknown.
func (r Record) age(now time.Time) time.Duration {
	if r.Err != nil {
		return now.Sub(r.Err.at)
	}
	return now.Sub(r.Token.IssuedAt())
}

// error returns the refusal as an error, or nil if there is none.
func (r Record) error() error {
	if r.Err == nil {
		return nil
	}
	return r.Err
}

// allowsError reports whether an error from the exchange of another handler (or of this
// handler before a reload) applies to this handler. CodeNotRegistered does not apply if
// this handler signs users up. CodeRejected is about the request that the other handler
// sent.
func (p *Policy) allowsError(err error) bool {
	if err == nil {
		return true // the fast path of most cache hits: no allocation
	}
	var e *Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Code {
	case CodeNotRegistered:
		return !p.Registers
	case CodeRejected:
		return e.by == p
	}
	return true
}

func result(rec Record) Result {
	if rec.Err != nil {
		return Result{Err: rec.Err}
	}
	return Result{Token: rec.Token, Outcome: OutcomeHit}
}

// cachedResult returns the result of a cache hit.
func cachedResult(rec Record) Result {
	r := result(rec)
	r.Cached = true
	return r
}

// store caches the result of an exchange for as long as it may be repeated.
func (p *Policy) store(user UserKey, variant Variant, forcedAt time.Time, r Result) {
	now := time.Now()
	if !forcedAt.IsZero() {
		p.Forced.Put(user, variant, forcedRecord(r, forcedAt, now))
	}
	if rec, ok := p.record(r, now); ok {
		p.Cache.Put(user, variant, rec)
	}
}

// record returns the Record of a result, with the time until which it may be repeated.
// It reports false for a failure that must not be repeated.
func (p *Policy) record(r Result, now time.Time) (Record, bool) {
	rec := newRecord(r, now)
	switch {
	case rec.Token != nil:
		rec.Until = rec.Token.cacheUntil(p.margin)
		if ttl := rec.Token.IssuedAt().Add(p.TTL); ttl.Before(rec.Until) {
			rec.Until = ttl
		}
	case rec.Err.isRefusal(), rec.Err.Code == CodeRejected:
		rec.Until = now.Add(p.NegativeTTL)
	default:
		return rec, false
	}
	return rec, true
}

// forcedRecord returns the Record of an exchange with Force, for further requests with
// Force. It may hold any result.
func forcedRecord(r Result, forcedAt, now time.Time) Record {
	rec := newRecord(r, now)
	rec.Until = forcedAt.Add(forcedFor)
	if end := r.Token.expiry(); !end.IsZero() && end.Before(rec.Until) {
		rec.Until = end
	}
	return rec
}

func newRecord(r Result, now time.Time) Record {
	if r.Err == nil {
		return Record{Token: r.Token}
	}
	failed := *asError(r.Err)
	failed.at = now
	return Record{Err: &failed}
}

// margin returns how long before the end of its lifetime a token is no longer returned
// from a cache.
func (p *Policy) margin(life time.Duration) time.Duration {
	if p.MarginPart == 0 {
		return p.Margin
	}
	return min(p.Margin, life/time.Duration(p.MarginPart))
}

// asError returns err as an *Error. It classifies an error that is none.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Classify(err)
}
