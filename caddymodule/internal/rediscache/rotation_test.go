package rediscache

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// withKeys is a replica that has these encryption keys.
func withKeys(t *testing.T, r *redistest.Server, keys ...byte) opened {
	t.Helper()
	return ready(t, r.Addr(), func(c *Config) {
		c.Keys = nil
		for _, k := range keys {
			c.Keys = append(c.Keys, key(k))
		}
	})
}

// TestR6_OneSignUpWhileKeysAreRotated: in every step two replicas with different
// keys know of each other's sign-ups.
func TestR6_OneSignUpWhileKeysAreRotated(t *testing.T) {
	r := startServer(t)
	old, both, fresh := withKeys(t, r, 1), withKeys(t, r, 2, 1), withKeys(t, r, 2)
	for step, pair := range map[string][2]opened{"first step": {old, both}, "second step": {both, fresh}} {
		for _, order := range []bool{true, false} {
			a, b := pair[0].SignUps("s"), pair[1].SignUps("s")
			if order {
				a, b = b, a
			}
			for end, want := range map[exchange.SignUpEnd]exchange.SignUpState{
				{}:             exchange.SignUpNone,
				{Exists: true}: exchange.SignUpDone,
				{Hold: 1e9}:    exchange.SignUpHeld,
			} {
				user := exchange.UserKey(fmt.Sprint(step, order, end))
				claim, err := a.Claim(t.Context(), user)
				if err != nil || claim.State != exchange.SignUpOurs {
					t.Fatalf("%s: Claim = %+v, %v", user, claim, err)
				}
				for range 2 { // asking leaves nothing behind
					if c, err := b.Claim(t.Context(), user); err != nil || c.State != exchange.SignUpRunning {
						t.Errorf("%s: the other's Claim = %+v, %v", user, c, err)
					}
				}
				if err := a.Settle(t.Context(), user, claim, end); err != nil {
					t.Error(err)
				}
				for _, x := range []exchange.SignUps{a, b} {
					if c, err := x.Look(t.Context(), user); err != nil || c.State != want {
						t.Errorf("%s: Look = %+v, %v; want state %d", user, c, err, want)
					}
				}
			}
		}
	}
}

// TestR6_ManyClaimsWhileKeysAreRotated: whatever the order of the keys is, nobody
// waits for somebody who waits for them, and one has the sign-up.
func TestR6_ManyClaimsWhileKeysAreRotated(t *testing.T) {
	r := startServer(t)
	stores := []exchange.SignUps{
		withKeys(t, r, 1, 2).SignUps("s"), withKeys(t, r, 2, 1).SignUps("s"), withKeys(t, r, 2).SignUps("s"),
	}
	for n := range 50 {
		user := exchange.UserKey(fmt.Sprint("u", n))
		var (
			mu     sync.Mutex
			owners []exchange.Claim
			wg     sync.WaitGroup
		)
		for i := range 9 {
			wg.Go(func() {
				for { // as those do who find that a sign-up came to nothing
					c, err := stores[i%3].Claim(t.Context(), user)
					if err != nil {
						t.Error(err)
						return
					}
					if c.State == exchange.SignUpOurs {
						mu.Lock()
						owners = append(owners, c)
						mu.Unlock()
						return
					}
					mu.Lock()
					done := len(owners) > 0
					mu.Unlock()
					if done {
						return
					}
				}
			})
		}
		wg.Wait()
		if len(owners) != 1 {
			t.Fatalf("%s: %d have the sign-up", user, len(owners))
		}
	}
}

// TestMarkerKeys: they are the same whatever the order, and no name of a user
// can be made without a key.
func TestMarkerKeys(t *testing.T) {
	names := func(keys ...byte) (all []string) {
		var secret []masked.String
		for _, k := range keys {
			secret = append(secret, key(k))
		}
		for _, k := range newMarkerKeys(secret) {
			all = append(all, k.nameOf("user"))
		}
		return all
	}
	if a, b := names(1, 2), names(2, 1, 2); !slices.Equal(a, b) || len(a) != 2 {
		t.Errorf("%q, %q", a, b)
	}
	if a, b := names(1), names(3); a[0] == b[0] || strings.Contains(a[0], keyOf("user")) {
		t.Errorf("%q, %q", a, b)
	}
}
