package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func token(n int64) *exchange.Token {
	return exchange.NewToken(time.Now()).Text("authToken", fmt.Sprint(n)).Lifetime("expiresIn", time.Hour).Token()
}

func code(err error) exchange.Code {
	var e *exchange.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// sharedStore is an exchange.SharedStore and exchange.SignUpLocks in memory, shared by
// several replicas. Each operation takes a while.
type sharedStore struct {
	down atomic.Bool // no operation is tried
	mute atomic.Bool // operations are executed, but there is no response

	mu     sync.Mutex
	tokens map[exchange.UserKey]exchange.Record
	taken  int // number of locks taken so far
	locks  map[exchange.UserKey]lockUntil
}

// lockUntil is a lock and its expiry.
type lockUntil struct {
	exchange.SignUpLock
	until time.Time
}

// replica is an engine in front of the store, with its Registrations.
type replica struct {
	*exchange.Engine
	policy        exchange.Policy
	registrations *Registrations
	registration  Registration
}

func newSharedStore() *sharedStore {
	return &sharedStore{tokens: make(map[exchange.UserKey]exchange.Record), locks: make(map[exchange.UserKey]lockUntil)}
}

// replica returns a replica without a memory cache.
func (s *sharedStore) replica() *replica {
	return &replica{
		Engine: exchange.NewEngine(),
		policy: exchange.Policy{
			Timeout: 10 * time.Second, TTL: time.Minute, NegativeTTL: 5 * time.Second, MaxWaiting: 2000, Shared: s,
		},
		registrations: NewRegistrations(),
		registration:  Registration{Hold: time.Minute, Allow: func() bool { return true }, OnResult: func(SignUpResult) {}},
	}
}

// coordinator returns a Coordinator for sign-ups of the user.
func (r *replica) coordinator(locks exchange.SignUpLocks) *Coordinator {
	return &Coordinator{Locks: locks, User: "u", Timeout: r.policy.Timeout, Stored: func(ctx context.Context) *exchange.Token {
		return r.Stored(ctx, "u", "ios", &r.policy)
	}}
}

// signUp sends a request of a user to a replica.
func (s *sharedStore) signUp(t *testing.T, at *replica, h Huma) exchange.Result {
	m := &minter{Exchange: Exchange{
		Huma: h, Registrations: at.registrations, Registration: at.registration, User: "u", Coordinator: at.coordinator(s),
	}}
	return at.Exchange(t.Context(), &exchange.Request{User: "u", Variant: "ios", Source: m, Policy: &at.policy})
}

// minter is an Exchange as the Exchange of a request.
type minter struct{ Exchange }

func (m *minter) NewExchange() exchange.Exchange { return m }

func (m *minter) Finished(exchange.Result) {}

func (s *sharedStore) Up() bool { return !s.down.Load() }

func (s *sharedStore) op() error {
	time.Sleep(time.Millisecond)
	if s.down.Load() {
		return exchange.ErrDown
	}
	return nil
}

// response returns the error of an operation that was executed.
func (s *sharedStore) response() error {
	if s.mute.Load() {
		return errors.New("timed out")
	}
	return nil
}

func (s *sharedStore) Get(_ context.Context, u exchange.UserKey, _ exchange.Variant) (exchange.Record, bool, exchange.Tombstone, error) {
	if err := errors.Join(s.op(), s.response()); err != nil {
		return exchange.Record{}, false, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.tokens[u]
	return rec, time.Now().Before(rec.Until), "", nil
}

func (s *sharedStore) Put(_ context.Context, u exchange.UserKey, _ exchange.Variant, r exchange.Record, _ exchange.Tombstone, _ bool) (bool, error) {
	if err := s.op(); err != nil {
		return false, err
	}
	s.put(u, r)
	return true, s.response()
}

// put stores a record as another replica would.
func (s *sharedStore) put(u exchange.UserKey, r exchange.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[u] = r
}

var errNotNeeded = errors.New("not needed here")

func (s *sharedStore) Evict(context.Context, exchange.UserKey) error { return errNotNeeded }

func (s *sharedStore) Flush(context.Context) error { return errNotNeeded }

func (s *sharedStore) Lock(_ context.Context, u exchange.UserKey, life time.Duration) (exchange.SignUpLock, error) {
	if err := s.op(); err != nil {
		return exchange.SignUpLock{}, err
	}
	l := s.find(u)
	if l.State != exchange.SignUpFree {
		l.ID = ""
		return l, s.response()
	}
	s.mu.Lock()
	s.taken++
	l = exchange.SignUpLock{State: exchange.SignUpAcquired, ID: fmt.Sprint(s.taken)}
	s.locks[u] = lockUntil{exchange.SignUpLock{State: exchange.SignUpRunning, ID: l.ID}, time.Now().Add(life)}
	s.mu.Unlock()
	return l, s.response()
}

func (s *sharedStore) Peek(_ context.Context, u exchange.UserKey) (exchange.SignUpLock, error) {
	if err := s.op(); err != nil {
		return exchange.SignUpLock{}, err
	}
	return exchange.SignUpLock{State: s.find(u).State}, s.response()
}

// find returns the lock of a user.
func (s *sharedStore) find(u exchange.UserKey) exchange.SignUpLock {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.locks[u]; l.until.After(time.Now()) {
		return l.SignUpLock
	}
	return exchange.SignUpLock{}
}

func (s *sharedStore) Release(_ context.Context, u exchange.UserKey, lock exchange.SignUpLock, end exchange.SignUpEnd, life time.Duration) error {
	if err := s.op(); err != nil {
		return err
	}
	now := s.find(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case end.Exists:
		s.locks[u] = lockUntil{exchange.SignUpLock{State: exchange.SignUpDone}, time.Now().Add(life)}
	case now.State != exchange.SignUpRunning || now.ID != lock.ID:
	case end.Hold > 0:
		s.locks[u] = lockUntil{exchange.SignUpLock{State: exchange.SignUpHeld}, time.Now().Add(end.Hold)}
	default:
		delete(s.locks, u)
	}
	return s.response()
}

func (s *sharedStore) Unhold(context.Context, exchange.UserKey) error { return errNotNeeded }
