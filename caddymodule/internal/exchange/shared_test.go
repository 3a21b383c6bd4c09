package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// sharedStore is a SharedStore and SignUpLocks in memory, of several replicas. Every
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

	tombstone int
	taken     int // locks so far
	locks     map[UserKey]lockUntil
}

// lockUntil is a lock and its end.
type lockUntil struct {
	SignUpLock
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
	return &sharedStore{mapStore: *newMapStore(), takes: time.Millisecond, locks: make(map[UserKey]lockUntil)}
}

func (s *sharedStore) replica() *replica {
	r := &replica{newBench(), NewRegistrations(), Registration{Hold: time.Minute, Allow: func() bool { return true }}}
	r.policy.Shared = s
	s.replicas = append(s.replicas, r)
	return r
}

func (s *sharedStore) Up() bool { return !s.down.Load() }

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

func (s *sharedStore) Get(_ context.Context, u UserKey, k Kind) (Record, bool, Tombstone, error) {
	s.gets.Add(1)
	if err := s.op(); err != nil {
		return Record{}, false, "", err
	}
	s.mu.Lock()
	seen := s.seen()
	s.mu.Unlock()
	if err := s.answer(); err != nil {
		return Record{}, false, seen, err
	}
	rec, ok := s.mapStore.Get(u, k, time.Now())
	return rec, ok, seen, nil
}

func (s *sharedStore) Put(_ context.Context, u UserKey, k Kind, r Record, seen Tombstone, replaces bool) (bool, error) {
	s.puts.Add(1)
	if err := s.op(); err != nil {
		return false, err
	}
	if r.Err != nil && !r.Err.isRefusal() {
		return false, errNoRecord
	}
	s.mu.Lock()
	same := seen == s.seen()
	s.mu.Unlock()
	if !same {
		return false, nil
	}
	s.mapStore.Put(u, k, r)
	if replaces {
		s.tell(u)
	}
	err := s.answer()
	return err == nil, err
}

// seen is the tombstone of whoever was evicted, of all users.
func (s *sharedStore) seen() Tombstone {
	if s.tombstone == 0 {
		return ""
	}
	return Tombstone(fmt.Sprint(s.tombstone))
}

// loses everything, as a server does that is started anew.
func (s *sharedStore) loses() {
	s.mapStore.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tombstone = 0
}

// evicts a user, without a word to anybody.
func (s *sharedStore) evicts(u UserKey) {
	s.mapStore.Forget(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tombstone++
}

func (s *sharedStore) Evict(_ context.Context, u UserKey) error {
	if err := s.op(); err != nil {
		return err
	}
	s.evicts(u)
	s.tell(u)
	return s.answer()
}

func (s *sharedStore) Flush(context.Context) error { return errors.New("not needed here") }

// tell lets all replicas evict, which takes a while, and also tells the one
// that has the news: an engine has to bear it.
func (s *sharedStore) tell(u UserKey) {
	s.told.Add(1)
	for _, r := range s.replicas {
		time.AfterFunc(s.takes, func() { r.Engine.Forget(u) })
	}
}

func (s *sharedStore) Lock(_ context.Context, u UserKey, life time.Duration) (SignUpLock, error) {
	if err := s.op(); err != nil {
		return SignUpLock{}, err
	}
	l := s.find(u)
	if l.State != SignUpFree {
		l.ID = ""
		return l, s.answer()
	}
	s.mu.Lock()
	s.taken++
	l = SignUpLock{State: SignUpOurs, ID: fmt.Sprint(s.taken)}
	s.locks[u] = lockUntil{SignUpLock{SignUpRunning, l.ID}, time.Now().Add(life)}
	s.mu.Unlock()
	return l, s.answer()
}

func (s *sharedStore) Peek(_ context.Context, u UserKey) (SignUpLock, error) {
	if err := s.op(); err != nil {
		return SignUpLock{}, err
	}
	return SignUpLock{State: s.find(u).State}, s.answer()
}

// find returns the lock of a user.
func (s *sharedStore) find(u UserKey) SignUpLock {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.locks[u]; l.until.After(time.Now()) {
		return l.SignUpLock
	}
	return SignUpLock{}
}

func (s *sharedStore) Release(_ context.Context, u UserKey, lock SignUpLock, end SignUpEnd, life time.Duration) error {
	if err := s.op(); err != nil {
		return err
	}
	now := s.find(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case end.Exists:
		s.locks[u] = lockUntil{SignUpLock{State: SignUpDone}, time.Now().Add(life)}
	case now.State != SignUpRunning || now.ID != lock.ID:
	case end.Hold > 0:
		s.locks[u] = lockUntil{SignUpLock{State: SignUpHeld}, time.Now().Add(end.Hold)}
	default:
		delete(s.locks, u)
	}
	return s.answer()
}

func (s *sharedStore) Unhold(context.Context, UserKey) error { return errors.New("not needed here") }
