package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestC06_PanicIsOneFailedExchange(t *testing.T) {
	b := newTestEngine()
	b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) {
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
	if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
		t.Errorf("the next request got %+v", r)
	}
}

// TestC06_PanicInAReport checks that callers get their token even if logging panics.
func TestC06_PanicInAReport(t *testing.T) {
	b := newTestEngine()
	b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	r := b.Exchange(t.Context(), &Request{User: "u", Source: source{panicReport{b}}, Policy: &b.policy})
	if callOf(r) != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestC06_PanicInAStore checks that a running exchange gets its token, that a lookup
// fails one request, and that the next request succeeds.
func TestC06_PanicInAStore(t *testing.T) {
	b := newTestEngine()
	b.exchange = func(_ context.Context, call int64) (*Token, Outcome, error) { return token(call), OutcomeSignedIn, nil }
	broken := &panicStore{Store: b.policy.Cache}
	b.policy.Cache = broken

	broken.put = true
	if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 1 {
		t.Errorf("got %+v", r)
	}
	var p *PanicError
	if err, _ := b.storeErr.Load().(error); !errors.As(err, &p) || strings.Contains(string(p.Stack), "canary") {
		t.Errorf("the report has %v", err)
	}
	broken.put = false
	if r := b.get(t.Context(), "u", "ios", false); callOf(r) != 2 {
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

func (s *panicStore) Get(u UserKey, k Variant, now time.Time) (Record, bool) {
	if s.get {
		panic("canary")
	}
	return s.Store.Get(u, k, now)
}

func (s *panicStore) Put(u UserKey, k Variant, r Record) {
	if s.put {
		panic("canary")
	}
	s.Store.Put(u, k, r)
}

type panicReport struct{ *testEngine }

func (panicReport) Finished(Result) { panic("canary") }
