package exchange

import (
	"errors"
	"time"
)

// freshFor is for how long after a request past the cache its token (or the
// error that came instead) also answers the next such request.
const freshFor = 5 * time.Second

// Policy is how the handler that asks wants its exchanges run and kept.
type Policy struct {
	Timeout     time.Duration // of a whole exchange
	TTL         time.Duration // how long a token may be kept
	Margin      time.Duration // never hand out a token in its last Margin,
	MarginPart  int           // or in so manieth a part of its life, if that is shorter; 0: always Margin
	NegativeTTL time.Duration // how long a refusal may be repeated; 0 not at all
	MaxWaiting  int           // exchanges that may run or wait at once, over all users
	UserRunning int           // exchanges of one user that may run at once; 0: MaxUserRunning
	Registers   bool          // unknown users are signed up

	Cache  Store // nil: nothing is kept
	Recent Store // what was fetched past the cache within freshFor; nil with Cache

	Shared SharedStore // behind Cache, of all replicas; nil: there are no others
}

// userRunning is how many exchanges of one user may run at once.
func (p *Policy) userRunning() int {
	if p.UserRunning == 0 {
		return MaxUserRunning
	}
	return p.UserRunning
}

// Kept looks for an answer that needs no exchange. A fresh token is answered
// by another fresh one alone, or by the error that came instead.
func (r *Request) Kept(now time.Time) (Result, bool) {
	p := r.Policy
	if p.Cache == nil {
		return Result{}, false
	}
	if r.Fresh {
		rec, ok := p.Recent.Get(r.User, r.Kind, now)
		return keptResult(rec), ok && rec.age(now) >= 0 && p.accepts(rec.error())
	}
	rec, ok := p.Cache.Get(r.User, r.Kind, now)
	if !ok || !p.inTime(rec, now) || !p.accepts(rec.error()) || p.Shared != nil && rec.isStale(now) && p.Shared.Up() {
		return Result{}, false
	}
	return keptResult(rec), true
}

// inTime reports whether a record is within the handler's time for it, which
// may have become shorter since it was kept.
func (p *Policy) inTime(rec Record, now time.Time) bool {
	keepFor := p.TTL
	if rec.Err != nil {
		keepFor = p.NegativeTTL
	}
	age := rec.age(now)
	return age >= 0 && age < keepFor
}

// age is how old what was kept is. A negative age is that of something from
// the future: the clock was set back, and nobody knows how old it is.
func (r Record) age(now time.Time) time.Duration {
	if r.Err != nil {
		return now.Sub(r.Err.at)
	}
	return now.Sub(r.Grant.Minted())
}

// error is the record's refusal as an error, nil if it has none.
func (r Record) error() error {
	if r.Err == nil {
		return nil
	}
	return r.Err
}

// accepts reports whether an error of another handler's exchange (or of this
// handler's before a reload) holds here too: that a user is not registered
// says nothing where users are registered, and a rejection is about what the
// other handler sent.
func (p *Policy) accepts(err error) bool {
	if err == nil {
		return true // of most hits, which need no memory for this
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
	return Result{Grant: rec.Grant, Outcome: OutcomeHit}
}

// keptResult is result for what needs no exchange.
func keptResult(rec Record) Result {
	r := result(rec)
	r.Kept = true
	return r
}

// keep stores what came of an exchange, for as long as it may be repeated.
func (p *Policy) keep(user UserKey, kind Kind, fresh time.Time, r Result) {
	now := time.Now()
	if !fresh.IsZero() {
		p.Recent.Put(user, kind, freshRecord(r, fresh, now))
	}
	if rec, ok := p.record(r, now); ok {
		p.Cache.Put(user, kind, rec)
	}
}

// record is what came of an exchange, for as long as it may be repeated. It is
// false for a failure that may not.
func (p *Policy) record(r Result, now time.Time) (Record, bool) {
	rec := newRecord(r, now)
	switch {
	case rec.Grant != nil:
		rec.Until = rec.Grant.keepUntil(p.margin)
		if ttl := rec.Grant.Minted().Add(p.TTL); ttl.Before(rec.Until) {
			rec.Until = ttl
		}
	case rec.Err.isRefusal(), rec.Err.Code == CodeRejected:
		rec.Until = now.Add(p.NegativeTTL)
	default:
		return rec, false
	}
	return rec, true
}

// freshRecord is what came of an exchange past the cache, whatever it is, for
// those who ask for the same soon after.
func freshRecord(r Result, fresh, now time.Time) Record {
	rec := newRecord(r, now)
	rec.Until = fresh.Add(freshFor)
	if end := r.Grant.expiry(); !end.IsZero() && end.Before(rec.Until) {
		rec.Until = end
	}
	return rec
}

func newRecord(r Result, now time.Time) Record {
	if r.Err == nil {
		return Record{Grant: r.Grant}
	}
	failed := *asError(r.Err)
	failed.at = now
	return Record{Err: &failed}
}

// margin is how long before the end of its life a token is not handed out from
// a cache any more.
func (p *Policy) margin(life time.Duration) time.Duration {
	if p.MarginPart == 0 {
		return p.Margin
	}
	return min(p.Margin, life/time.Duration(p.MarginPart))
}

// asError gives any error an exchange may end with its Code.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Classify(err)
}
