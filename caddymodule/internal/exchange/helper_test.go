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
	recs map[UserKey]map[Variant]Record
}

func newMapStore() *mapStore { return &mapStore{recs: make(map[UserKey]map[Variant]Record)} }

func (s *mapStore) Get(u UserKey, k Variant, now time.Time) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.recs[u][k]
	if !ok || !now.Before(r.Until) {
		return Record{}, false
	}
	return r, true
}

func (s *mapStore) Put(u UserKey, k Variant, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Until.After(time.Now()) {
		delete(s.recs[u], k)
		return
	}
	if s.recs[u] == nil {
		s.recs[u] = make(map[Variant]Record)
	}
	if r.CheckedAt.IsZero() {
		r.CheckedAt = time.Now()
	}
	s.recs[u][k] = r
}

func (s *mapStore) Evict(u UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recs, u)
}

func (s *mapStore) EvictTokens(u UserKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for variant, rec := range s.recs[u] {
		if rec.Token != nil {
			delete(s.recs[u], variant)
		}
	}
}

func (s *mapStore) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.recs)
}

// testEngine is an engine with its caches, and a service that counts its calls.
type testEngine struct {
	*Engine
	policy   Policy
	calls    atomic.Int64
	ended    atomic.Int64
	storeErr atomic.Value // error
	exchange func(ctx context.Context, call int64) (*Token, Outcome, error)
}

func newTestEngine() *testEngine {
	cache, recent := newMapStore(), newMapStore()
	return &testEngine{
		Engine: NewEngine(cache, recent),
		policy: Policy{
			Timeout: 10 * time.Second, TTL: time.Minute, Margin: 30 * time.Second, MarginPart: 10, NegativeTTL: 5 * time.Second,
			MaxWaiting: 2000, Cache: cache, Forced: recent,
		},
		exchange: func(_ context.Context, call int64) (*Token, Outcome, error) {
			time.Sleep(time.Second)
			return token(call), OutcomeSignedIn, nil
		},
	}
}

func token(n int64) *Token {
	return NewToken(time.Now()).Text("authToken", fmt.Sprint(n)).Lifetime("expiresIn", time.Hour).Token()
}

// source is the Source of one Exchange.
type source struct{ exchange Exchange }

func (s source) NewExchange() Exchange { return s.exchange }

func (b *testEngine) Run(ctx context.Context) (*Token, Outcome, error) {
	return b.exchange(ctx, b.calls.Add(1))
}

func (b *testEngine) Finished(r Result) {
	b.ended.Add(1)
	if r.CacheErr != nil {
		b.storeErr.Store(r.CacheErr)
	}
}

func (b *testEngine) get(ctx context.Context, user UserKey, variant Variant, fresh bool) Result {
	return b.Exchange(ctx, &Request{User: user, Variant: variant, Force: fresh, Source: source{b}, Policy: &b.policy})
}

// callOf returns the number of the call that a result's token is from; 0 means none.
func callOf(r Result) (n int64) {
	if r.Token != nil {
		_, _ = fmt.Sscanf(string(r.Token.AppendJSON(nil, time.Now())), `{"authToken":"%d"`, &n)
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
