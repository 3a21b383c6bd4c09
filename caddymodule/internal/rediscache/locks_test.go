package rediscache

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// testLocks tests SignUpLocks between two replicas. newPair returns two replicas' views
// of one service in which no user is locked.
func testLocks(t *testing.T, newPair func(t *testing.T) (a, b exchange.SignUpLocks)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b exchange.SignUpLocks)
	}{
		{"one takes it, the other waits", locksRunning},
		{"a user who was created is not created again", locksDone},
		{"one who was not can be", locksFreed},
		{"a user whose sign-up had an unknown result is held", locksHeld},
		{"a hold can be ended", locksUnhold},
		{"a lock ends by itself", locksEnd},
		{"another's lock stays", locksOthers},
		{"users are apart", locksApart},
		{"one of many", locksContention},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newPair(t)
			test.run(t, a, b)
		})
	}
}

// lockLife is the lifetime of locks that must not expire during a test.
const lockLife = time.Minute

func wantLock(t *testing.T, s exchange.SignUpLocks, u exchange.UserKey, want exchange.SignUpState) exchange.SignUpLock {
	t.Helper()
	l, err := s.Lock(t.Context(), u, lockLife)
	if err != nil || l.State != want || (l.ID != "") != (want == exchange.SignUpAcquired) {
		t.Fatalf("Lock(%q) = %+v, %v; want state %d", u, l, err, want)
	}
	return l
}

func wantPeek(t *testing.T, s exchange.SignUpLocks, want exchange.SignUpState) {
	t.Helper()
	if l, err := s.Peek(t.Context(), "u"); err != nil || l.State != want {
		t.Fatalf("Peek = %+v, %v; want state %d", l, err, want)
	}
}

func release(t *testing.T, s exchange.SignUpLocks, l exchange.SignUpLock, end exchange.SignUpEnd) {
	t.Helper()
	if err := s.Release(t.Context(), "u", l, end, lockLife); err != nil {
		t.Fatal(err)
	}
}

func locksRunning(t *testing.T, a, b exchange.SignUpLocks) {
	wantPeek(t, b, exchange.SignUpFree)
	wantLock(t, a, "u", exchange.SignUpAcquired)
	wantLock(t, b, "u", exchange.SignUpRunning)
	wantLock(t, a, "u", exchange.SignUpRunning)
	wantPeek(t, a, exchange.SignUpRunning)
	wantPeek(t, b, exchange.SignUpRunning)
}

func locksDone(t *testing.T, a, b exchange.SignUpLocks) {
	l := wantLock(t, a, "u", exchange.SignUpAcquired)
	release(t, a, l, exchange.SignUpEnd{Exists: true})
	wantPeek(t, b, exchange.SignUpDone)
	wantLock(t, b, "u", exchange.SignUpDone)
	wantLock(t, a, "u", exchange.SignUpDone)
}

func locksFreed(t *testing.T, a, b exchange.SignUpLocks) {
	l := wantLock(t, a, "u", exchange.SignUpAcquired)
	release(t, a, l, exchange.SignUpEnd{})
	wantPeek(t, b, exchange.SignUpFree)
	wantLock(t, b, "u", exchange.SignUpAcquired)
}

func locksHeld(t *testing.T, a, b exchange.SignUpLocks) {
	l := wantLock(t, a, "u", exchange.SignUpAcquired)
	release(t, a, l, exchange.SignUpEnd{Hold: 300 * time.Millisecond})
	wantLock(t, b, "u", exchange.SignUpHeld)
	wantPeek(t, a, exchange.SignUpHeld)
	time.Sleep(350 * time.Millisecond)
	wantPeek(t, b, exchange.SignUpFree)
	wantLock(t, b, "u", exchange.SignUpAcquired)
}

func locksUnhold(t *testing.T, a, b exchange.SignUpLocks) {
	l := wantLock(t, a, "u", exchange.SignUpAcquired)
	unhold := func(want exchange.SignUpState) {
		t.Helper()
		if err := b.Unhold(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		wantPeek(t, a, want)
	}
	unhold(exchange.SignUpRunning)
	release(t, a, l, exchange.SignUpEnd{Hold: lockLife})
	unhold(exchange.SignUpFree)
	unhold(exchange.SignUpFree)
}

// locksEnd tests that a lock expires, as it must if its replica has died.
func locksEnd(t *testing.T, a, b exchange.SignUpLocks) {
	if _, err := a.Lock(t.Context(), "u", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	wantPeek(t, b, exchange.SignUpRunning)
	time.Sleep(350 * time.Millisecond)
	wantLock(t, b, "u", exchange.SignUpAcquired)
}

func locksOthers(t *testing.T, a, b exchange.SignUpLocks) {
	wantLock(t, a, "u", exchange.SignUpAcquired)
	theirs := exchange.SignUpLock{ID: "something else"}
	release(t, b, theirs, exchange.SignUpEnd{})
	wantPeek(t, b, exchange.SignUpRunning)
	release(t, b, theirs, exchange.SignUpEnd{Hold: time.Minute})
	wantPeek(t, b, exchange.SignUpRunning)
	release(t, b, theirs, exchange.SignUpEnd{Exists: true}) // recorded, no matter which replica reports it
	wantPeek(t, a, exchange.SignUpDone)
}

func locksApart(t *testing.T, a, b exchange.SignUpLocks) {
	wantLock(t, a, "u", exchange.SignUpAcquired)
	wantLock(t, b, "v", exchange.SignUpAcquired)
	wantLock(t, b, "u\x00", exchange.SignUpAcquired)
}

// locksContention tests that only one of many concurrent callers gets the lock.
func locksContention(t *testing.T, a, b exchange.SignUpLocks) {
	for round := range 20 {
		u := exchange.UserKey(fmt.Sprint("u", round))
		var ours, running atomic.Int64
		var wg sync.WaitGroup
		for w := range 50 {
			s := a
			if w%2 == 0 {
				s = b
			}
			wg.Go(func() {
				l, err := s.Lock(t.Context(), u, lockLife)
				switch {
				case err != nil:
					t.Error(err)
				case l.State == exchange.SignUpAcquired:
					ours.Add(1)
				case l.State == exchange.SignUpRunning:
					running.Add(1)
				}
			})
		}
		wg.Wait()
		if ours.Load() != 1 || running.Load() != 49 {
			t.Fatalf("%d have the lock, %d wait; want 1 and 49", ours.Load(), running.Load())
		}
	}
}
