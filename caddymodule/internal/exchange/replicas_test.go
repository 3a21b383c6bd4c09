package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// sharedStore is a Shared and SignUps in memory, of several replicas. Every
// operation takes a while.
type sharedStore struct {
	mapStore
	takes    time.Duration
	down     atomic.Bool
	panics   atomic.Bool
	gets     atomic.Int64
	replicas []*bench

	mark   int
	claims map[UserKey]Claim
}

func newSharedStore() *sharedStore {
	return &sharedStore{mapStore: *newMapStore(), takes: time.Millisecond, claims: make(map[UserKey]Claim)}
}

// replica is an engine with its own memory before the store.
func (s *sharedStore) replica() *bench {
	b := newBench()
	b.policy.Shared = s
	s.replicas = append(s.replicas, b)
	return b
}

func (s *sharedStore) op() error {
	time.Sleep(s.takes)
	if s.panics.Load() {
		panic("canary")
	}
	if s.down.Load() {
		return ErrDown
	}
	return nil
}

func (s *sharedStore) Get(_ context.Context, u UserKey, k Kind) (Record, bool, Generation, error) {
	s.gets.Add(1)
	if err := s.op(); err != nil {
		return Record{}, false, Generation{}, err
	}
	s.mu.Lock()
	seen := Generation{Mark: fmt.Sprint(s.mark)}
	s.mu.Unlock()
	rec, ok := s.mapStore.Get(u, k)
	return rec, ok, seen, nil
}

func (s *sharedStore) Put(_ context.Context, u UserKey, k Kind, r Record, seen Generation, news bool) (bool, error) {
	if err := s.op(); err != nil {
		return false, err
	}
	s.mu.Lock()
	same := seen.Mark == fmt.Sprint(s.mark)
	s.mu.Unlock()
	if !same {
		return false, nil
	}
	s.mapStore.Put(u, k, r)
	if news {
		s.tell(u)
	}
	return true, nil
}

func (s *sharedStore) Forget(_ context.Context, u UserKey) error {
	if err := s.op(); err != nil {
		return err
	}
	s.mapStore.Forget(u)
	s.mu.Lock()
	s.mark++
	s.mu.Unlock()
	s.tell(u)
	return nil
}

func (s *sharedStore) Flush(context.Context) error { return errors.New("not needed here") }

// tell lets all replicas forget, which takes a while, and also tells the one
// that has the news: an engine has to bear it.
func (s *sharedStore) tell(u UserKey) {
	for _, b := range s.replicas {
		time.AfterFunc(s.takes, func() { b.Engine.Forget(u) })
	}
}

func (s *sharedStore) Claim(_ context.Context, u UserKey) (Claim, error) {
	if err := s.op(); err != nil {
		return Claim{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.claims[u]; ok {
		return c, nil
	}
	s.claims[u] = Claim{State: SignUpRunning, Left: 10 * time.Minute, ID: "1"}
	return Claim{State: SignUpOurs, ID: "1"}, nil
}

func (s *sharedStore) Look(_ context.Context, u UserKey) (Claim, error) {
	if err := s.op(); err != nil {
		return Claim{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[u], nil
}

func (s *sharedStore) Settle(_ context.Context, u UserKey, _ Claim, end SignUpEnd) error {
	if err := s.op(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case end.Exists:
		s.claims[u] = Claim{State: SignUpDone, Left: 10 * time.Minute}
	case end.Hold > 0:
		s.claims[u] = Claim{State: SignUpHeld, Left: end.Hold}
	default:
		delete(s.claims, u)
	}
	return nil
}

func TestReplicasShareATokenAndARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		if r := a.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeSignedIn {
			t.Fatalf("got %+v", r)
		}
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || number(r) != 1 || b.calls.Load() != 0 {
			t.Errorf("the other replica got %+v after %d calls", r, b.calls.Load())
		}
		before := s.gets.Load()
		if r := b.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || s.gets.Load() != before {
			t.Errorf("a hit in memory asked the store: %+v", r)
		}

		refuse := func(context.Context, int64) (*Grant, Outcome, error) { return nil, "", &Error{Code: CodeRefused} }
		a.mint, b.mint = refuse, refuse
		a.get(t.Context(), "mallory", "ios", false)
		if r := b.get(t.Context(), "mallory", "ios", false); code(r) != CodeRefused || b.calls.Load() != 0 {
			t.Errorf("the other replica got %+v after %d calls", r, b.calls.Load())
		}
		down := func(context.Context, int64) (*Grant, Outcome, error) { return nil, "", &Error{Code: CodeUnavailable} }
		a.mint = down
		a.get(t.Context(), "bob", "ios", false)
		b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) { return token(call), OutcomeSignedIn, nil }
		if r := b.get(t.Context(), "bob", "ios", false); r.Outcome != OutcomeSignedIn {
			t.Errorf("an outage was shared: %+v", r)
		}
	})
}

// TestReplicasFreshTokens: no-cache at one replica is news for all.
func TestReplicasFreshTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		a.get(t.Context(), "u", "ios", false)
		b.get(t.Context(), "u", "ios", false)
		b.calls.Store(100)
		if r := a.get(t.Context(), "u", "ios", true); number(r) != 2 || r.Outcome != OutcomeSignedIn {
			t.Fatalf("got %+v", r)
		}
		time.Sleep(10 * time.Millisecond) // the news is told
		if r := b.get(t.Context(), "u", "ios", false); number(r) != 2 {
			t.Errorf("the other replica hands out the token that was refused: %d", number(r))
		}
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 2 {
			t.Errorf("the second in 5 s, at the other replica, got %d, want the first one's", number(r))
		}
		time.Sleep(6 * time.Second)
		if r := b.get(t.Context(), "u", "ios", true); number(r) != 101 {
			t.Errorf("later it got %d, want another one", number(r))
		}
	})
}

// TestReplicasFreshDuringALook: who asks for a fresh token while another
// request finds the one from before must not get that.
func TestReplicasFreshDuringALook(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := newSharedStore()
			a, b := s.replica(), s.replica()
			a.get(t.Context(), "u", "ios", false)
			b.calls.Store(100)
			s.takes = time.Second
			go b.get(t.Context(), "u", "ios", false)
			time.Sleep(after)
			if r := b.get(t.Context(), "u", "ios", true); number(r) != 101 {
				t.Errorf("after %s: got %d, want a fresh one", after, number(r))
			}
			time.Sleep(time.Minute)
		})
	}
}

// TestC13_ForgottenAtAnotherReplica: what runs elsewhere is not kept, neither in
// the store nor in memory.
func TestC13_ForgottenAtAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		b := s.replica()
		s.replicas = nil // nobody is told: the store alone has to prevent it
		done := make(chan Result)
		go func() { done <- b.get(t.Context(), "u", "ios", false) }()
		time.Sleep(500 * time.Millisecond)
		if err := s.Forget(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		if r := <-done; number(r) != 1 {
			t.Errorf("the request that ran got %+v", r)
		}
		if _, kept := b.policy.Cache.Get("u", "ios"); kept {
			t.Error("the replica that fetched it has kept it in memory")
		}
		if _, kept := s.mapStore.Get("u", "ios"); kept {
			t.Error("the store has kept it")
		}
	})
}

// TestReplicasWithoutTheStore: it is never needed for a token.
func TestReplicasWithoutTheStore(t *testing.T) {
	for name, breaks := range map[string]func(*sharedStore){
		"down":   func(s *sharedStore) { s.down.Store(true) },
		"panics": func(s *sharedStore) { s.panics.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				a := s.replica()
				breaks(s)
				if r := a.get(t.Context(), "u", "ios", false); number(r) != 1 {
					t.Errorf("got %+v", r)
				}
				if r := a.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit {
					t.Errorf("it was not kept in memory: %+v", r)
				}
				if r := a.get(t.Context(), "u", "ios", true); number(r) != 2 {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// registry is a Huma that knows who was signed up.
type registry struct {
	mu            sync.Mutex
	users         map[string]bool
	signIns, made int
	fails         error // of sign-ups, after they were processed
}

func (h *registry) SignIn(_ context.Context, p Person) (*Grant, error) {
	time.Sleep(20 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signIns++
	if !h.users[p.Email.Reveal()] {
		return nil, &StatusError{Op: OpSignIn, Status: 403}
	}
	return token(int64(h.signIns)), nil
}

func (h *registry) SignUp(_ context.Context, p Person) (*Grant, error) {
	time.Sleep(200 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made++
	h.users[p.Email.Reveal()] = true
	if h.fails != nil {
		return nil, h.fails
	}
	return token(1000), nil
}

func (h *registry) SignConsent(context.Context, Person) error { return nil }

// signUp is a request of a user at a replica.
func (s *sharedStore) signUp(t *testing.T, at *bench, h Huma, deny bool) Result {
	m := &loginMinter{Login: Login{
		Huma: h, Registrations: at.registrations(), User: "u",
		Registration: Registration{Hold: time.Minute, Allow: func() bool { return true }},
		Replicas: &Replicas{SignUps: s, User: "u", Deny: deny, Stored: func(ctx context.Context) *Grant {
			rec, _, _, _ := s.Get(ctx, "u", "ios")
			return rec.Grant
		}},
	}}
	return at.Get(t.Context(), &Request{User: "u", Kind: "ios", Source: source{m}, Policy: &at.policy})
}

type loginMinter struct{ Login }

func (m *loginMinter) Ended(Result) { m.Replicas.Settle() }

var registrationsOf sync.Map // *bench → *Registrations

func (b *bench) registrations() *Registrations {
	r, _ := registrationsOf.LoadOrStore(b, NewRegistrations())
	return r.(*Registrations)
}

func TestR03_OneSignUpOverAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newSharedStore(), &registry{users: make(map[string]bool)}
		replicas := []*bench{s.replica(), s.replica(), s.replica()}
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				if r := s.signUp(t, replicas[i%3], h, false); number(r) != 1000 {
					t.Errorf("got %+v, want the token of the sign-up", r)
				}
			})
		}
		wg.Wait()
		if h.made != 1 || h.signIns != 3 {
			t.Errorf("%d sign-ups and %d sign-ins, want 1 and 3", h.made, h.signIns)
		}
	})
}

// TestR04_TheReplicaDies: after its POST, without a word.
func TestR04_TheReplicaDies(t *testing.T) {
	for name, created := range map[string]bool{"the user exists": true, "the user does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, h := newSharedStore(), &registry{users: map[string]bool{}}
				if _, err := s.Claim(t.Context(), "u"); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Second, func() {
					h.mu.Lock()
					h.users[""] = created
					h.mu.Unlock()
				})
				r := s.signUp(t, s.replica(), h, false)
				if created && r.Outcome != OutcomeSignedIn || !created && code(r) != CodeUnavailable {
					t.Errorf("got %+v", r)
				}
				if h.made != 0 {
					t.Error("a second sign-up")
				}
			})
		})
	}
}

func TestSignUpsOfReplicas(t *testing.T) {
	reset := &TransportError{Op: OpSignUp, Sent: true, Err: errors.New("reset")}
	for _, test := range []struct {
		name       string
		h          *registry
		down, deny bool
		want       Code
		claim      SignUpState // afterwards
		made       int
	}{
		{"the store is down", &registry{}, true, false, "", SignUpNone, 1},
		{"the store is down, and sign-ups need it", &registry{}, true, true, CodeUnavailable, SignUpNone, 0},
		{"signed up", &registry{}, false, true, "", SignUpDone, 1},
		{"an unclear end, and the user is there", &registry{fails: reset}, false, false, "", SignUpDone, 1},
		{"refused", &registry{fails: &StatusError{Op: OpSignUp, Status: 403}}, false, false, CodeRefused, SignUpNone, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				s.down.Store(test.down)
				test.h.users = make(map[string]bool)
				a := s.replica()
				if r := s.signUp(t, a, test.h, test.deny); code(r) != test.want {
					t.Errorf("got %+v, want %s", r, test.want)
				}
				if s.claims["u"].State != test.claim || test.h.made != test.made {
					t.Errorf("the marker is %d after %d sign-ups, want %d after %d", s.claims["u"].State, test.h.made, test.claim, test.made)
				}
				if n := a.registrations().Len(); n != 0 {
					t.Errorf("%d users are held in this process", n)
				}
			})
		})
	}
}

// TestReplicasHold: an unclear end anywhere leaves it to sign-in everywhere.
func TestReplicasHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharedStore()
		a, b := s.replica(), s.replica()
		lost := &lostSignUp{}
		if r := s.signUp(t, a, lost, false); code(r) != CodeUnavailable || lost.made != 1 {
			t.Fatalf("got %+v after %d sign-ups", r, lost.made)
		}
		if r := s.signUp(t, b, lost, false); code(r) != CodeUnavailable || lost.made != 1 {
			t.Errorf("the other replica: %+v after %d sign-ups", r, lost.made)
		}
	})
}

// lostSignUp is a Huma that gets no sign-up, and does not say so.
type lostSignUp struct{ made int }

func (*lostSignUp) SignIn(context.Context, Person) (*Grant, error) {
	return nil, &StatusError{Op: OpSignIn, Status: 403}
}

func (h *lostSignUp) SignUp(context.Context, Person) (*Grant, error) {
	h.made++
	return nil, &TransportError{Op: OpSignUp, Sent: true, Timeout: true, Err: context.DeadlineExceeded}
}

func (*lostSignUp) SignConsent(context.Context, Person) error { return nil }
