package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// sharedStore is a SharedStore in memory, of several replicas. Each operation takes a
// while.
type sharedStore struct {
	mapStore
	latency    time.Duration
	down       atomic.Bool // no operation is tried
	noResponse atomic.Bool // operations are executed, but there is no response
	panics     atomic.Bool
	gets       atomic.Int64
	puts       atomic.Int64
	notified   atomic.Int64 // how often all replicas were notified
	replicas   []*replica

	tombstone int
}

// replica is an engine with its own memory cache in front of the store.
type replica struct{ *testEngine }

func newSharedStore() *sharedStore {
	return &sharedStore{mapStore: *newMapStore(), latency: time.Millisecond}
}

func (s *sharedStore) replica() *replica {
	r := &replica{newTestEngine()}
	r.policy.Shared = s
	s.replicas = append(s.replicas, r)
	return r
}

func (s *sharedStore) Up() bool { return !s.down.Load() }

func (s *sharedStore) op() error {
	time.Sleep(s.latency)
	if s.panics.Load() {
		panic("canary")
	}
	if s.down.Load() {
		return ErrDown
	}
	return nil
}

// response returns the error of an operation that was executed.
func (s *sharedStore) response() error {
	if s.noResponse.Load() {
		return errors.New("timed out")
	}
	return nil
}

func (s *sharedStore) Get(_ context.Context, u UserKey, k Variant) (Record, bool, Tombstone, error) {
	s.gets.Add(1)
	if err := s.op(); err != nil {
		return Record{}, false, "", err
	}
	s.mu.Lock()
	seen := s.seen()
	s.mu.Unlock()
	if err := s.response(); err != nil {
		return Record{}, false, seen, err
	}
	rec, ok := s.mapStore.Get(u, k, time.Now())
	return rec, ok, seen, nil
}

func (s *sharedStore) Put(_ context.Context, u UserKey, k Variant, r Record, seen Tombstone, replaces bool) (bool, error) {
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
		s.notify(u)
	}
	err := s.response()
	return err == nil, err
}

// seen returns the tombstone of all evicted users.
func (s *sharedStore) seen() Tombstone {
	if s.tombstone == 0 {
		return ""
	}
	return Tombstone(fmt.Sprint(s.tombstone))
}

// deleteAll deletes everything, like a server that is restarted.
func (s *sharedStore) deleteAll() {
	s.mapStore.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tombstone = 0
}

// evictSilently evicts a user without notifying a replica.
func (s *sharedStore) evictSilently(u UserKey) {
	s.mapStore.Evict(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tombstone++
}

func (s *sharedStore) Evict(_ context.Context, u UserKey) error {
	if err := s.op(); err != nil {
		return err
	}
	s.evictSilently(u)
	s.notify(u)
	return s.response()
}

func (s *sharedStore) Flush(context.Context) error { return errors.New("not needed here") }

// notify makes all replicas evict, which takes a while. It also notifies the replica that
// has caused the eviction: an engine must accept that.
func (s *sharedStore) notify(u UserKey) {
	s.notified.Add(1)
	for _, r := range s.replicas {
		time.AfterFunc(s.latency, func() { r.Engine.Evict(u) })
	}
}
