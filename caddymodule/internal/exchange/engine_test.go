package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mapStore is the simplest store there is.
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

// bench is an engine, what it keeps, and a service that counts.
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

// number is which call a result's token is from; 0 is none.
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

func TestC01_OneExchangeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		outcomes := make(chan Outcome, 1000)
		for range 1000 {
			go func() { outcomes <- b.get(t.Context(), "u", "ios", false).Outcome }()
		}
		counts := make(map[Outcome]int)
		for range 1000 {
			counts[<-outcomes]++
		}
		if b.calls.Load() != 1 || b.ended.Load() != 1 || counts[OutcomeSignedIn] != 1 || counts[OutcomeShared] != 999 {
			t.Errorf("%d calls, outcomes %v", b.calls.Load(), counts)
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit {
			t.Errorf("then: %+v", r)
		}
	})
}

func TestC04_TheFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan Result)
		go func() { left <- b.get(ctx, "u", "ios", false) }()
		synctest.Wait()
		others := make(chan Result)
		go func() { others <- b.get(t.Context(), "u", "ios", false) }()
		synctest.Wait()
		leave()
		if r := <-left; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("who left got %+v", r)
		}
		if r := <-others; r.Outcome != OutcomeShared || b.calls.Load() != 1 {
			t.Errorf("who stayed got %+v after %d calls", r, b.calls.Load())
		}
	})
}

func TestC05_AllCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if r := b.get(ctx, "u", "ios", false); !errors.Is(r.Err, context.Canceled) {
			t.Errorf("who left got %+v", r)
		}
		if b.Idle() {
			t.Error("the exchange is said to have ended")
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !b.Idle() {
			t.Error("the exchange is said to run")
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || b.calls.Load() != 1 {
			t.Errorf("the token was not kept: %+v after %d calls", r, b.calls.Load())
		}
	})
}

func TestC06_PanicIsOneFailedExchange(t *testing.T) {
	b := newBench()
	b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) {
		if call == 1 {
			panic("canary")
		}
		return token(call), OutcomeSignedIn, nil
	}
	r := b.get(t.Context(), "u", "ios", false)
	var p *PanicError
	if code(r) != CodeUnavailable || !errors.As(r.Err, &p) || len(p.Stack) == 0 || b.ended.Load() != 1 {
		t.Fatalf("got %+v", r)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v %s", r, r, r.Err, p.Stack), "canary") {
		t.Error("the panic's value is in the error")
	}
	if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
		t.Errorf("the next request got %+v", r)
	}
}

// TestC06_PanicInAReport: whatever logging does, the callers get their token.
func TestC06_PanicInAReport(t *testing.T) {
	b := newBench()
	b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	r := b.Exchange(t.Context(), &Request{User: "u", Source: source{panicReport{b}}, Policy: &b.policy})
	if number(r) != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestC06_PanicInAStore: what runs gets its token, who reads is one failed
// request, and the next one is fine.
func TestC06_PanicInAStore(t *testing.T) {
	b := newBench()
	b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	broken := &panicStore{Store: b.policy.Cache}
	b.policy.Cache = broken

	broken.put = true
	if r := b.get(t.Context(), "u", "ios", false); number(r) != 1 {
		t.Errorf("got %+v", r)
	}
	var p *PanicError
	if err, _ := b.notKept.Load().(error); !errors.As(err, &p) || strings.Contains(string(p.Stack), "canary") {
		t.Errorf("the report is told %v", err)
	}
	broken.put = false
	if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
		t.Errorf("got %+v, want another exchange", r)
	}
	broken.get = true
	func() {
		defer func() { _ = recover() }()
		b.get(t.Context(), "u", "ios", false)
		t.Error("the panic has no owner")
	}()
	broken.get = false
	if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || b.Wait(t.Context()) != nil {
		t.Errorf("got %+v", r)
	}
}

type panicStore struct {
	Store
	get, put bool
}

func (s *panicStore) Get(u UserKey, k Kind, now time.Time) (Record, bool) {
	if s.get {
		panic("canary")
	}
	return s.Store.Get(u, k, now)
}

func (s *panicStore) Put(u UserKey, k Kind, r Record) {
	if s.put {
		panic("canary")
	}
	s.Store.Put(u, k, r)
}

type panicReport struct{ *bench }

func (panicReport) Ended(Result) { panic("canary") }

func TestC07_AnInstantServiceIsCalledOnce(t *testing.T) {
	b := newBench()
	b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	for round := range 200 {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if r := b.get(t.Context(), UserKey(fmt.Sprint(round)), "ios", false); r.Err != nil {
					t.Error(r.Err)
				}
			})
		}
		wg.Wait()
	}
	if n := b.calls.Load(); n != 200 {
		t.Errorf("%d calls, want 200", n)
	}
}

func TestC13_ForgottenWhileItRuns(t *testing.T) {
	for name, forget := range map[string]func(*bench){
		"evict": func(b *bench) { b.Forget("u") },
		"flush": func(b *bench) { b.Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				before := make(chan Result)
				go func() { before <- b.get(t.Context(), "u", "ios", false) }()
				synctest.Wait()
				forget(b)
				after := make(chan Result)
				go func() { after <- b.get(t.Context(), "u", "ios", false) }()
				if r := <-before; number(r) != 1 {
					t.Errorf("who asked before got %+v", r)
				}
				if r := <-after; number(r) != 2 || r.Outcome != OutcomeSignedIn {
					t.Errorf("who asked afterwards got %+v", r)
				}
				if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
					t.Errorf("kept is %+v", r)
				}
			})
		})
	}
}

func TestKindsAndUsersAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		seen := make(map[int64]bool)
		for _, user := range []UserKey{"u", "v"} {
			for _, kind := range []Kind{"ios", "web"} {
				seen[number(b.get(t.Context(), user, kind, false))] = true
			}
		}
		if len(seen) != 4 {
			t.Errorf("tokens of %d calls, want 4", len(seen))
		}
	})
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) { return token(call), OutcomeSignedIn, nil }
		b.get(t.Context(), "u", "ios", false)
		time.Sleep(59 * time.Second)
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 1 {
			t.Errorf("after 59 s: %+v", r)
		}
		b.policy.TTL = 10 * time.Second // a reload has made it shorter
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
			t.Errorf("with a shorter ttl: %+v", r)
		}
		time.Sleep(10 * time.Second)
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 3 {
			t.Errorf("after the ttl: %+v", r)
		}
	})
}

// TestFresh: past the cache, but not twice within 5 s, and never the token
// from before.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.get(t.Context(), "u", "ios", false)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 2 {
			t.Fatalf("fresh: %+v", r)
		}
		time.Sleep(3900 * time.Millisecond) // and the exchange has taken one second
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 2 {
			t.Errorf("again within 5 s: %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
			t.Errorf("the others: %+v", r)
		}
		time.Sleep(100 * time.Millisecond)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 3 {
			t.Errorf("after 5 s: %+v", r)
		}
	})
}

func TestFreshError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.get(t.Context(), "u", "ios", false)
		works := b.mint
		b.mint = func(context.Context, int64) (*Grant, Outcome, error) {
			return nil, "", &Error{Code: CodeUnavailable}
		}
		for range 2 {
			if r := b.get(t.Context(), "u", "ios", true); code(r) != CodeUnavailable {
				t.Errorf("fresh: %+v", r)
			}
		}
		if n := b.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 1 {
			t.Errorf("who does not ask for a fresh one: %+v", r)
		}
		b.mint = works
		time.Sleep(6 * time.Second)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 3 {
			t.Errorf("when the service is back: %+v", r)
		}
	})
}

// TestFreshJoins: a running exchange is fresh enough, and counts as the first
// of two.
func TestFreshJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 1 {
			t.Errorf("joined: %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 1 {
			t.Errorf("again: %+v", r)
		}
	})
}

func TestRefusalsAreRepeatedOutagesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for c, again := range map[Code]int64{
			CodeRefused: 1, CodeConnectUnavailable: 1, CodeNotRegistered: 1, CodeRejected: 1,
			CodeUnavailable: 3, CodeTimeout: 3, CodeConfig: 3, CodeBadResponse: 3, CodeRegistrationLimited: 3,
		} {
			b := newBench()
			b.mint = func(context.Context, int64) (*Grant, Outcome, error) { return nil, "", &Error{Code: c} }
			for range 3 {
				if r := b.get(t.Context(), "u", "ios", false); code(r) != c {
					t.Errorf("%s: %+v", c, r)
				}
			}
			if n := b.calls.Load(); n != again {
				t.Errorf("%s: %d calls, want %d", c, n, again)
			}
			time.Sleep(6 * time.Second)
			b.get(t.Context(), "u", "ios", false)
			if n := b.calls.Load(); n != again+1 {
				t.Errorf("%s: after negative_ttl %d calls, want %d", c, n, again+1)
			}
		}
	})
}

func TestWithoutCacheExchangesAreStillShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.policy.Cache, b.policy.Recent = nil, nil
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { b.get(t.Context(), "u", "ios", true) })
		}
		wg.Wait()
		b.get(t.Context(), "u", "ios", false)
		if n := b.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// TestRunningIsBounded: callers who leave do not leave more exchanges behind
// than may run.
func TestRunningIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.policy.MaxWaiting = 10
		gone, leave := context.WithCancel(t.Context())
		leave()
		overloaded := 0
		for i := range 100 {
			if code(b.get(gone, UserKey(fmt.Sprint(i)), "ios", false)) == CodeOverloaded {
				overloaded++
			}
		}
		if overloaded != 90 {
			t.Errorf("%d of 100 were turned away, want 90", overloaded)
		}
		if err := b.Wait(t.Context()); err != nil || b.calls.Load() != 10 {
			t.Errorf("%d calls, %v", b.calls.Load(), err)
		}
	})
}

func TestTheExchangeHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mint = func(ctx context.Context, _ int64) (*Grant, Outcome, error) {
			<-ctx.Done()
			return nil, "", failure(ctx.Err())
		}
		start := time.Now()
		r := b.get(t.Context(), "u", "ios", false)
		if code(r) != CodeTimeout || time.Since(start) != 10*time.Second {
			t.Errorf("after %s: %+v", time.Since(start), r)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNotRegisteredHoldsWhereRegistrationIsOff: a handler that registers users
// does not repeat what one has said that does not.
func TestNotRegisteredHoldsWhereRegistrationIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		works := b.mint
		b.mint = func(context.Context, int64) (*Grant, Outcome, error) {
			time.Sleep(time.Second)
			return nil, "", &Error{Code: CodeNotRegistered}
		}
		go b.get(t.Context(), "u", "ios", false)
		synctest.Wait()
		b.mint = works
		registers := b.policy
		registers.Registers = true
		ask := func(p *Policy) Result {
			return b.Exchange(t.Context(), &Request{User: "u", Kind: "ios", Source: source{b}, Policy: p})
		}
		joined := make(chan Result)
		go func() { joined <- ask(&registers) }()
		if r := <-joined; r.Outcome != OutcomeSignedIn {
			t.Errorf("who joined got %+v", r)
		}
		b.Flush()
		b.policy.Cache.Put("u", "ios", Record{Err: &Error{Code: CodeNotRegistered, at: time.Now()}, Until: time.Now().Add(time.Minute)})
		if r := ask(&b.policy); code(r) != CodeNotRegistered {
			t.Errorf("without registration: %+v", r)
		}
		if r := ask(&registers); r.Err != nil {
			t.Errorf("with registration: %+v", r)
		}
	})
}

// TestNegativeTTLTakesEffectAtOnce: a refusal that was kept for an hour is not
// repeated by a handler that repeats none.
func TestNegativeTTLTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.policy.NegativeTTL = time.Hour
		b.mint = func(context.Context, int64) (*Grant, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		b.get(t.Context(), "u", "ios", false)
		time.Sleep(10 * time.Second)
		if b.get(t.Context(), "u", "ios", false); b.calls.Load() != 1 {
			t.Errorf("%d calls: the refusal is not repeated", b.calls.Load())
		}
		b.policy.NegativeTTL = 5 * time.Second
		if b.get(t.Context(), "u", "ios", false); b.calls.Load() != 2 {
			t.Errorf("%d calls: the refusal is repeated for too long", b.calls.Load())
		}
	})
}

// TestC09_FreshTokensEnd: also the answer to the second of two requests past
// the cache is never a token that has ended.
func TestC09_FreshTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) {
			return NewGrant(time.Now()).Text("authToken", fmt.Sprint(call)).Lifetime("expiresIn", 2*time.Second).Grant(), OutcomeSignedIn, nil
		}
		b.get(t.Context(), "u", "ios", true)
		time.Sleep(time.Second)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 1 {
			t.Errorf("within its life: %+v", r)
		}
		time.Sleep(1500 * time.Millisecond)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 2 {
			t.Errorf("after its end: %+v", r)
		}
	})
}

// TestC13_WhatTheMinterNotes: what it has put into a cache on the way is
// forgotten as well.
func TestC13_WhatTheMinterNotes(t *testing.T) {
	b := newBench()
	b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) {
		b.Forget("u")
		b.policy.Cache.Put("u", hintKind, Record{Err: &Error{Code: codeHintID}, Until: time.Now().Add(time.Hour)})
		return token(call), OutcomeSignedIn, nil
	}
	b.get(t.Context(), "u", "ios", false)
	if _, kept := b.policy.Cache.Get("u", hintKind, time.Now()); kept {
		t.Error("the hint of a user who was forgotten is kept")
	}
}
