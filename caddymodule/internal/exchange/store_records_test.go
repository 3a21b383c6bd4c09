package exchange

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// tokenOfAge returns a token that was issued the given time ago. A negative time is that of
// a replica whose clock is ahead.
func tokenOfAge(ago time.Duration) *Token {
	return NewToken(time.Now().Add(-ago)).Text("authToken", "7").Lifetime("expiresIn", time.Hour).Token()
}

// refusalOfAge returns a refusal that was cached the given time ago.
func refusalOfAge(code Code, ago time.Duration) *Error {
	return &Error{Code: code, at: time.Now().Add(-ago)}
}

// TestInvalidStoreRecords checks that a record of another replica is returned only
// if it is valid by the rules and the clock of this replica.
func TestInvalidStoreRecords(t *testing.T) {
	for _, test := range []struct {
		name      string
		token     time.Duration // its age; 0: there is a refusal
		refusal   Code
		age       time.Duration
		left      time.Duration
		registers bool
		want      bool
	}{
		{name: "a token", token: time.Second, left: time.Minute, want: true},
		{name: "a token older than our ttl", token: 61 * time.Second, left: time.Minute},
		{name: "a token that is over", token: time.Second, left: -time.Second},
		{name: "their clock is ahead", token: -29 * time.Second, left: time.Minute, want: true},
		{name: "their clock is not believed", token: -31 * time.Second, left: time.Minute},
		{name: "a refusal", refusal: CodeRefused, age: time.Second, left: time.Minute, want: true},
		{name: "a refusal older than our negative_ttl", refusal: CodeRefused, age: 6 * time.Second, left: time.Minute},
		{name: "not registered, and we do not register", refusal: CodeNotRegistered, age: time.Second, left: time.Minute, want: true},
		{name: "not registered, and we do", refusal: CodeNotRegistered, age: time.Second, left: time.Minute, registers: true},
		{name: "refused, and we register", refusal: CodeRefused, age: time.Second, left: time.Minute, registers: true, want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSharedStore()
				b := s.replica()
				b.policy.Registers = test.registers
				rec := Record{Until: time.Now().Add(test.left)}
				if test.token != 0 {
					rec.Token = tokenOfAge(test.token)
				} else {
					rec.Err = refusalOfAge(test.refusal, test.age)
				}
				shared := &frozenStore{sharedStore: s, rec: rec}
				b.policy.Shared = shared

				if got := b.Stored(t.Context(), "u", "ios", &b.policy); (got != nil) != (test.want && test.token != 0) {
					t.Errorf("a request that waits for a sign-up got a token: %v", got != nil)
				}
				r := b.get(t.Context(), "u", "ios", false)
				if called := b.calls.Load() == 1; called == test.want {
					t.Errorf("a call was made: %v; got %+v", called, r)
				}
				if test.want && (callOf(r) == 7) != (test.token != 0) {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// frozenStore is a Store that always returns one record.
type frozenStore struct {
	*sharedStore
	rec Record
}

func (s *frozenStore) Get(context.Context, UserKey, Variant) (Record, bool, Tombstone, error) {
	return s.rec, true, "0", nil
}

// TestAClockSetBack checks that a record from the future, whose real age is unknown, is
// fetched again, also by a request with Fresh.
func TestAClockSetBack(t *testing.T) {
	for name, fresh := range map[string]bool{"a token": false, "a fresh one": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestEngine()
				store := b.policy.Cache
				if fresh {
					store = b.policy.Forced
				}
				store.Put("u", "ios", Record{Token: tokenOfAge(-time.Second), Until: time.Now().Add(time.Minute)})
				if r := b.get(t.Context(), "u", "ios", fresh); callOf(r) != 1 {
					t.Errorf("got %d, want one of now", callOf(r))
				}
			})
		})
	}
}
