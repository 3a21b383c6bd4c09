package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// sharedStore is a Shared and SignUps in memory, of several replicas. Every
// operation takes a while.
type sharedStore struct {
	mapStore
	takes    time.Duration
	down     atomic.Bool // nothing is tried
	mute     atomic.Bool // what is asked for is done, and not answered
	panics   atomic.Bool
	gets     atomic.Int64
	puts     atomic.Int64
	told     atomic.Int64 // how often all replicas were told something
	replicas []*replica

	mark    int
	claims  int
	markers map[UserKey]marker
}

// marker is a Claim until it is over.
type marker struct {
	Claim
	until time.Time
}

// replica is an engine with its own memory before the store, and those whom it
// signs up.
type replica struct {
	*bench
	registrations *Registrations
	registration  Registration
}

func newSharedStore() *sharedStore {
	return &sharedStore{mapStore: *newMapStore(), takes: time.Millisecond, markers: make(map[UserKey]marker)}
}

func (s *sharedStore) replica() *replica {
	r := &replica{newBench(), NewRegistrations(), Registration{Hold: time.Minute, Allow: func() bool { return true }}}
	r.policy.Shared = s
	s.replicas = append(s.replicas, r)
	return r
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

// answer is the error of an operation that was done.
func (s *sharedStore) answer() error {
	if s.mute.Load() {
		return errors.New("no answer in time")
	}
	return nil
}

func (s *sharedStore) Get(_ context.Context, u UserKey, k Kind) (Record, bool, Generation, error) {
	s.gets.Add(1)
	if err := s.op(); err != nil {
		return Record{}, false, Generation{}, err
	}
	s.mu.Lock()
	seen := Generation{Mark: s.marked()}
	s.mu.Unlock()
	if err := s.answer(); err != nil {
		return Record{}, false, seen, err
	}
	rec, ok := s.mapStore.Get(u, k, time.Now())
	return rec, ok, seen, nil
}

func (s *sharedStore) Put(_ context.Context, u UserKey, k Kind, r Record, seen Generation, news bool) (bool, error) {
	s.puts.Add(1)
	if err := s.op(); err != nil {
		return false, err
	}
	if r.Err != nil && !r.Err.isRefusal() {
		return false, errNoRecord
	}
	s.mu.Lock()
	same := seen.Mark == s.marked()
	s.mu.Unlock()
	if !same {
		return false, nil
	}
	s.mapStore.Put(u, k, r)
	if news {
		s.tell(u)
	}
	err := s.answer()
	return err == nil, err
}

// marked is the mark of whoever was forgotten, of all users.
func (s *sharedStore) marked() string {
	if s.mark == 0 {
		return ""
	}
	return fmt.Sprint(s.mark)
}

// loses everything, as a server does that is started anew.
func (s *sharedStore) loses() {
	s.mapStore.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = 0
}

// forgets a user, without a word to anybody.
func (s *sharedStore) forgets(u UserKey) {
	s.mapStore.Forget(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark++
}

func (s *sharedStore) Forget(_ context.Context, u UserKey) error {
	if err := s.op(); err != nil {
		return err
	}
	s.forgets(u)
	s.tell(u)
	return s.answer()
}

func (s *sharedStore) Flush(context.Context) error { return errors.New("not needed here") }

// tell lets all replicas forget, which takes a while, and also tells the one
// that has the news: an engine has to bear it.
func (s *sharedStore) tell(u UserKey) {
	s.told.Add(1)
	for _, r := range s.replicas {
		time.AfterFunc(s.takes, func() { r.Engine.Forget(u) })
	}
}

func (s *sharedStore) Claim(_ context.Context, u UserKey) (Claim, error) {
	if err := s.op(); err != nil {
		return Claim{}, err
	}
	c := s.find(u)
	if c.State == SignUpNone {
		s.mu.Lock()
		s.claims++
		c = Claim{State: SignUpOurs, ID: fmt.Sprint(s.claims)}
		s.markers[u] = marker{Claim{State: SignUpRunning, ID: c.ID}, time.Now().Add(10 * time.Minute)}
		s.mu.Unlock()
	}
	if err := s.answer(); err != nil {
		return Claim{ID: c.ID}, err
	}
	return c, nil
}

func (s *sharedStore) Look(_ context.Context, u UserKey) (Claim, error) {
	if err := s.op(); err != nil {
		return Claim{}, err
	}
	return s.find(u), s.answer()
}

// find returns the marker of a user.
func (s *sharedStore) find(u UserKey) Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.markers[u]
	if m.Left = time.Until(m.until); m.Left <= 0 {
		return Claim{}
	}
	return m.Claim
}

func (s *sharedStore) Settle(_ context.Context, u UserKey, claim Claim, end SignUpEnd) error {
	if err := s.op(); err != nil {
		return err
	}
	now := s.find(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case end.Exists:
		s.markers[u] = marker{Claim{State: SignUpDone}, time.Now().Add(10 * time.Minute)}
	case now.State != SignUpNone && (now.State != SignUpRunning || now.ID != claim.ID):
	case end.Hold > 0:
		s.markers[u] = marker{Claim{State: SignUpHeld}, time.Now().Add(end.Hold)}
	default:
		delete(s.markers, u)
	}
	return s.answer()
}
