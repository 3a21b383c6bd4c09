package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// sharedStore is a SharedStore in memory, of several replicas. Every operation takes a
// while.
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
}

// replica is an engine with its own memory before the store.
type replica struct{ *bench }

func newSharedStore() *sharedStore {
	return &sharedStore{mapStore: *newMapStore(), takes: time.Millisecond}
}

func (s *sharedStore) replica() *replica {
	r := &replica{newBench()}
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
