package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// mapStore is a minimal Store.
type mapStore struct {
	mu   sync.Mutex
	recs map[UserKey]map[Kind]Record
}

func newMapStore() *mapStore { return &mapStore{recs: make(map[UserKey]map[Kind]Record)} }

func (s *mapStore) Get(u UserKey, k Kind, now time.Time) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.recs[u][k]
	if !ok || !now.Before(r.Until) {
		return Record{}, false
	}
	return r, true
}

func (s *mapStore) Put(u UserKey, k Kind, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Until.After(time.Now()) {
		delete(s.recs[u], k)
		return
	}
	if s.recs[u] == nil {
		s.recs[u] = make(map[Kind]Record)
	}
	if r.CheckedAt.IsZero() {
		r.CheckedAt = time.Now()
	}
	s.recs[u][k] = r
}

func (s *mapStore) Forget(u UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recs, u)
}

func (s *mapStore) ForgetTokens(u UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, rec := range s.recs[u] {
		if rec.Grant != nil {
			delete(s.recs[u], kind)
		}
	}
}

func (s *mapStore) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.recs)
}

// bench is an engine with its caches, and a service that counts its calls.
type bench struct {
	*Engine
	policy  Policy
	calls   atomic.Int64
	ended   atomic.Int64
	notKept atomic.Value // error
	mint    func(ctx context.Context, call int64) (*Grant, Outcome, error)
}

func newBench() *bench {
	cache, recent := newMapStore(), newMapStore()
	return &bench{
		Engine: NewEngine(cache, recent),
		policy: Policy{
			Timeout: 10 * time.Second, TTL: time.Minute, Margin: 30 * time.Second, MarginPart: 10, NegativeTTL: 5 * time.Second,
			MaxWaiting: 2000, Cache: cache, Recent: recent,
		},
		mint: func(_ context.Context, call int64) (*Grant, Outcome, error) {
			time.Sleep(time.Second)
			return token(call), OutcomeSignedIn, nil
		},
	}
}

func token(n int64) *Grant {
	return NewGrant(time.Now()).Text("authToken", fmt.Sprint(n)).Lifetime("expiresIn", time.Hour).Grant()
}

// source is the Source of one Minter.
type source struct{ minter Minter }

func (s source) Minter() Minter { return s.minter }

func (b *bench) Mint(ctx context.Context) (*Grant, Outcome, error) {
	return b.mint(ctx, b.calls.Add(1))
}

func (b *bench) Ended(r Result) {
	b.ended.Add(1)
	if r.NotKept != nil {
		b.notKept.Store(r.NotKept)
	}
}

func (b *bench) get(ctx context.Context, user UserKey, kind Kind, fresh bool) Result {
	return b.Exchange(ctx, &Request{User: user, Kind: kind, Fresh: fresh, Source: source{b}, Policy: &b.policy})
}

// number returns the number of the call that a result's token is from; 0 means none.
func number(r Result) (n int64) {
	if r.Grant != nil {
		_, _ = fmt.Sscanf(string(r.Grant.AppendJSON(nil, time.Now())), `{"authToken":"%d"`, &n)
	}
	return n
}

func code(r Result) Code {
	var e *Error
	if errors.As(r.Err, &e) {
		return e.Code
	}
	return ""
}
