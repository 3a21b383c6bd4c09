package connect

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/memcache"
)

// connectService issues one type of token, and refuses the other.
type connectService struct {
	variant TokenType
	calls   int
	n       int // number of the next token
}

func (s *connectService) Token(_ context.Context, t TokenType, _ Person) (*exchange.Token, error) {
	s.calls++
	if t != s.variant {
		return nil, &exchange.StatusError{Op: t.Op(), Status: 403}
	}
	s.n++
	return exchange.NewToken(time.Now()).Text("token", fmt.Sprint(s.n)).Lifetime("expires_in", time.Hour).Token(), nil
}

// testHandler requests tokens of one user as a handler would.
type testHandler struct {
	engine *exchange.Engine
	policy exchange.Policy
	Exchange
}

func (p *testHandler) NewExchange() exchange.Exchange { return p }
func (p *testHandler) Finished(exchange.Result)       {}

func newTestHandler(t *testing.T, api HumanAPI) *testHandler {
	t.Helper()
	c, recent := memcache.New(), memcache.New()
	t.Cleanup(c.Close)
	t.Cleanup(recent.Close)
	store := c.Limit(100)
	return &testHandler{
		engine: exchange.NewEngine(c, recent),
		policy: exchange.Policy{
			Timeout: time.Minute, TTL: time.Hour, NegativeTTL: time.Minute, MaxWaiting: 10,
			Cache: store, Forced: recent.Limit(100),
		},
		Exchange: Exchange{API: api, Hints: Hints{Store: store}, User: "u"},
	}
}

func (p *testHandler) request(t *testing.T, variant exchange.Variant, fresh bool) exchange.Result {
	t.Helper()
	return p.engine.Exchange(t.Context(), &exchange.Request{User: p.User, Variant: variant, Force: fresh, Source: p, Policy: &p.policy})
}

// wantCalls requests a token and checks how many calls were made.
func (p *testHandler) wantCalls(t *testing.T, s *connectService, variant exchange.Variant, calls int) {
	t.Helper()
	before := s.calls
	r := p.request(t, variant, true)
	if r.Err != nil || r.Token == nil {
		t.Fatal(r.Err)
	}
	if n := s.calls - before; n != calls {
		t.Errorf("%d calls, want %d", n, calls)
	}
}

// TestHints follows one user through all changes of the type, with the real cache.
func TestHints(t *testing.T) {
	s := &connectService{variant: SessionToken}
	p := newTestHandler(t, s)
	p.wantCalls(t, s, "a", 1) // new
	s.variant = IDToken
	p.wantCalls(t, s, "b", 2) // has connected a source since
	p.wantCalls(t, s, "c", 1) // the hint is used, also for another variant
	s.variant = SessionToken
	p.wantCalls(t, s, "d", 2) // the hint is wrong
	p.wantCalls(t, s, "e", 1) // and was deleted
	s.variant = IDToken
	p.wantCalls(t, s, "f", 2)
	p.engine.Evict("u")
	p.wantCalls(t, s, "g", 2) // the hint was evicted with the user
	p.wantCalls(t, s, "h", 1)

	// The hint neither evicts the tokens of the same user nor is returned as a token.
	if r := p.request(t, "h", false); r.Outcome != exchange.OutcomeHit {
		t.Errorf("%q, %v", r.Outcome, r.Err)
	}
	before := s.calls
	if r := p.request(t, "\x00hint", false); r.Outcome == exchange.OutcomeHit || s.calls == before {
		t.Errorf("the hint was returned: %q, %v", r.Outcome, r.Err)
	}
}

// TestHintLost checks that more variants than a user may have can evict the hint, that
// there is none without a store, and that another record is not a hint.
func TestHintLost(t *testing.T) {
	s := &connectService{variant: IDToken}
	p := newTestHandler(t, s)
	p.wantCalls(t, s, "a", 2)
	for i := range 9 {
		p.policy.Cache.Put("u", exchange.Variant(fmt.Sprint(i)), exchange.Record{
			Token: exchange.NewToken(time.Now()).Token(), Until: time.Now().Add(time.Hour),
		})
	}
	p.wantCalls(t, s, "b", 2)

	p.Hints.Store.Put("u", "\x00hint", exchange.Record{
		Token: exchange.NewToken(time.Now()).Text("token", "id").Token(), Until: time.Now().Add(time.Hour),
	})
	p.wantCalls(t, s, "c", 2)
	p.Hints.Store.Put("u", "\x00hint", exchange.Record{
		Err: &exchange.Error{Code: exchange.CodeRefused}, Until: time.Now().Add(time.Hour),
	})
	p.wantCalls(t, s, "d", 2)

	p.Hints = Hints{}
	p.wantCalls(t, s, "e", 2)
	p.wantCalls(t, s, "f", 2)
}

// refusingService refuses both types.
type refusingService struct{ calls int }

func (r *refusingService) Token(_ context.Context, t TokenType, _ Person) (*exchange.Token, error) {
	r.calls++
	return nil, &exchange.StatusError{Op: t.Op(), Status: 403}
}

// TestConnectUnavailableIsKept checks that the error is cached for as long as any
// refusal.
func TestConnectUnavailableIsKept(t *testing.T) {
	s := &refusingService{}
	p := newTestHandler(t, s)
	for range 3 {
		r := p.request(t, "a", false)
		var e *exchange.Error
		if e, _ = r.Err.(*exchange.Error); e == nil || e.Code != exchange.CodeConnectUnavailable {
			t.Fatalf("%v", r.Err)
		}
	}
	if s.calls != 2 {
		t.Errorf("%d calls, want 2", s.calls)
	}
}

// TestHintEnds checks that a hint expires after a while without a token.
func TestHintEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHints()
		h.remember("u", IDToken)
		time.Sleep(hintTTL - time.Second)
		if h.first("u") != IDToken || h.first("v") != SessionToken {
			t.Error("the hint is lost, or shared by all users")
		}
		h.remember("u", IDToken)
		time.Sleep(hintTTL + time.Second)
		if h.first("u") != SessionToken {
			t.Error("the hint stays for ever")
		}
	})
}
