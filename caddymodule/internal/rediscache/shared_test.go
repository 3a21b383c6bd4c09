package rediscache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// testShared tests a SharedStore, also between two replicas. newPair returns two
// replicas' views of one empty account.
func testShared(t *testing.T, newPair func(t *testing.T) (a, b exchange.SharedStore)) {
	t.Run("as a store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) exchange.Store {
			s, _ := newPair(t)
			return asStore{t, s}
		})
	})
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b exchange.SharedStore)
	}{
		{"what one puts the other gets", sharedPutGet},
		{"what was seen before an eviction is not put", sharedEvicted},
		{"a flush leaves nothing", sharedFlushed},
		{"after an eviction it can be put again", sharedAfterEviction},
		{"a user evicted by one is evicted for the other", sharedEvict},
		{"what is no refusal is not kept", sharedOutage},
		{"a context that has ended begins nothing", sharedCanceled},
		{"an eviction wins over all puts that had seen less", sharedRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newPair(t)
			test.run(t, a, b)
		})
	}
}

// asStore is a SharedStore as a Store whose Put reads the tombstone and puts at once. An
// error of the store fails the test.
type asStore struct {
	t *testing.T
	s exchange.SharedStore
}

func (a asStore) Get(u exchange.UserKey, k exchange.Variant, _ time.Time) (exchange.Record, bool) {
	rec, found, _, err := a.s.Get(context.Background(), u, k)
	a.check("get", err)
	return rec, found
}

func (a asStore) Put(u exchange.UserKey, k exchange.Variant, r exchange.Record) {
	_, _, seen, err := a.s.Get(context.Background(), u, k)
	a.check("get", err)
	_, err = a.s.Put(context.Background(), u, k, r, seen, false)
	a.check("put", err)
}

func (a asStore) Evict(u exchange.UserKey) { a.check("forget", a.s.Evict(context.Background(), u)) }

// EvictTokens calls Evict, because a SharedStore drops refusals, too.
func (a asStore) EvictTokens(u exchange.UserKey) { a.Evict(u) }

func (a asStore) Flush() { a.check("flush", a.s.Flush(context.Background())) }

func (a asStore) check(op string, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Errorf("%s: %v", op, err)
	}
}

// see returns the tombstone to pass to Put.
func see(t *testing.T, s exchange.SharedStore, u exchange.UserKey, k exchange.Variant) exchange.Tombstone {
	t.Helper()
	_, _, seen, err := s.Get(t.Context(), u, k)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// putSeen reports an error unless Put stores the token if want is set, and does not store
// it otherwise.
func putSeen(t *testing.T, s exchange.SharedStore, u exchange.UserKey, k exchange.Variant, token string, seen exchange.Tombstone, want bool) {
	t.Helper()
	kept, err := s.Put(t.Context(), u, k, storetest.RecordOf(token, time.Minute), seen, false)
	if err != nil || kept != want {
		t.Errorf("Put(%q) = %v, %v; want %v", token, kept, err, want)
	}
}

func sharedPutGet(t *testing.T, a, b exchange.SharedStore) {
	put(t, a, "u", "1")
	wantToken(t, b, "u", "1")
	put(t, b, "u", "2")
	wantToken(t, a, "u", "2")
}

func sharedEvicted(t *testing.T, a, b exchange.SharedStore) {
	fresh := see(t, a, "u", "ios") // of an empty store
	putSeen(t, a, "u", "web", "w", fresh, true)
	if err := b.Evict(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	putSeen(t, a, "u", "ios", "old", fresh, false)
	between := see(t, a, "u", "ios")
	if err := b.Evict(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	putSeen(t, a, "u", "ios", "old, too", between, false)
	wantToken(t, b, "u", "")
	storetest.WantToken(t, asStore{t, b}, "u", "web", "")
	put(t, a, "v", "another's")
}

func sharedFlushed(t *testing.T, a, b exchange.SharedStore) {
	for _, u := range []exchange.UserKey{"u", "v"} {
		put(t, a, u, "1")
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantToken(t, b, "u", "")
	wantToken(t, b, "v", "")
	put(t, a, "u", "new")
}

func sharedAfterEviction(t *testing.T, a, b exchange.SharedStore) {
	put(t, a, "u", "1")
	if err := a.Evict(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	seen := see(t, b, "u", "ios")
	putSeen(t, b, "u", "ios", "2", seen, true)
	putSeen(t, b, "u", "ios", "3", seen, true) // a put does not change the tombstone
	wantToken(t, a, "u", "3")
}

func sharedEvict(t *testing.T, a, b exchange.SharedStore) {
	for _, u := range []exchange.UserKey{"u", "v"} {
		for _, k := range []exchange.Variant{"ios", "web"} {
			putSeen(t, a, u, k, "t", see(t, a, u, k), true)
		}
	}
	if err := a.Evict(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	wantToken(t, b, "u", "")
	storetest.WantToken(t, asStore{t, b}, "u", "web", "")
	wantToken(t, b, "v", "t")
}

func sharedOutage(t *testing.T, a, _ exchange.SharedStore) {
	seen := see(t, a, "u", "ios")
	outage := exchange.Record{Err: &exchange.Error{Code: exchange.CodeUnavailable}, Until: time.Now().Add(time.Minute)}
	if kept, err := a.Put(t.Context(), "u", "ios", outage, seen, false); kept || err == nil {
		t.Errorf("Put = %v, %v; want an error", kept, err)
	}
	wantToken(t, a, "u", "")
}

func sharedCanceled(t *testing.T, a, _ exchange.SharedStore) {
	seen := see(t, a, "u", "ios")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, found, _, err := a.Get(ctx, "u", "ios")
	if found || !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, %v", found, err)
	}
	if kept, err := a.Put(ctx, "u", "ios", storetest.RecordOf("t", time.Minute), seen, false); kept || !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, %v", kept, err)
	}
	if err := a.Evict(ctx, "u"); !errors.Is(err, context.Canceled) {
		t.Errorf("Evict = %v", err)
	}
	wantToken(t, a, "u", "")
}

// sharedRace runs many puts and an eviction at once, in any order. Afterwards no put
// that had seen less than the eviction is stored.
func sharedRace(t *testing.T, a, b exchange.SharedStore) {
	for round := range 20 {
		u := exchange.UserKey(fmt.Sprint("u", round))
		var wg sync.WaitGroup
		var forgotten atomic.Bool
		for w := range 8 {
			s := a
			if w%2 == 0 {
				s = b
			}
			seen := see(t, s, u, "ios")
			wg.Go(func() {
				after := forgotten.Load()
				kept, err := s.Put(t.Context(), u, "ios", storetest.RecordOf("old", time.Minute), seen, false)
				if err != nil || after && kept {
					t.Errorf("Put = %v, %v, after the eviction: %v", kept, err, after)
				}
			})
		}
		wg.Go(func() {
			if err := a.Evict(t.Context(), u); err != nil {
				t.Error(err)
			}
			forgotten.Store(true)
		})
		wg.Wait()
		wantToken(t, b, u, "")
	}
}
