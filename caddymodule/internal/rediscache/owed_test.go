package rediscache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestR2_ForgottenMeanwhile: whoever logs out while the store is down is logged
// out: before it is back and afterwards, at all replicas.
func TestR2_ForgottenMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name      string
		cut, mend func(r *redistest.Server)
	}{
		{"it hangs", (*redistest.Server).Stop, (*redistest.Server).Continue},
		{"it takes no writes", func(r *redistest.Server) { r.Do("REPLICAOF", "127.0.0.1", "1") }, func(r *redistest.Server) { r.Do("REPLICAOF", "NO", "ONE") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startServer(t)
			short := func(c *Config) { c.Timeout = 500 * time.Millisecond }
			s, other := ready(t, r.Addr(), short), ready(t, r.Addr())
			a, b := s.Account("a"), other.Account("a")
			put(t, a, "u", "t")
			wantToken(t, b, "u", "t")

			test.cut(r)
			if err := a.Forget(t.Context(), "u"); err == nil {
				t.Fatal("Forget has no error")
			}
			if _, found, _, _ := a.Get(t.Context(), "u", "ios"); found {
				t.Error("the token is there after the user was forgotten")
			}
			test.mend(r)
			eventually(t, 10*time.Second, "the other replica has heard", func() bool {
				return look(other.events, func() bool { return len(other.events.heard) == 1 })
			})
			wantToken(t, b, "u", "")
			eventually(t, 10*time.Second, "nothing is owed", func() bool { return s.owed.n.Load() == 0 })
			put(t, a, "u", "t2")
			wantToken(t, b, "u", "t2")
		})
	}
}

// TestR2_SettledMeanwhile: a claim that the store has got and not answered keeps
// nobody waiting once it is settled.
func TestR2_SettledMeanwhile(t *testing.T) {
	r := startServer(t)
	s := ready(t, r.Addr(), func(c *Config) { c.Timeout = 500 * time.Millisecond })
	other := ready(t, r.Addr())
	a, b := s.SignUps("s"), other.SignUps("s")
	r.Stop()
	var wg sync.WaitGroup
	for user, end := range map[exchange.UserKey]exchange.SignUpEnd{
		"refused": {}, "exists": {Exists: true}, "unclear": {Hold: time.Minute},
	} {
		wg.Go(func() {
			claim, err := a.Claim(t.Context(), user)
			if err == nil || claim.ID == "" {
				t.Errorf("Claim = %+v, %v", claim, err)
			}
			if err := a.Settle(t.Context(), user, claim, end); err == nil {
				t.Error("Settle has no error")
			}
		})
	}
	wg.Wait()
	r.Continue()
	for user, want := range map[exchange.UserKey]exchange.SignUpState{
		"refused": exchange.SignUpNone, "exists": exchange.SignUpDone, "unclear": exchange.SignUpHeld,
	} {
		eventually(t, 10*time.Second, fmt.Sprintf("%s is in state %d", user, want), func() bool {
			c, err := b.Look(t.Context(), user)
			return err == nil && c.State == want
		})
	}
}

// TestR2_SettledTwiceMeanwhile: of two sign-ups of one user that could not be
// settled the later one counts, of which nobody knows whether it made the user.
func TestR2_SettledTwiceMeanwhile(t *testing.T) {
	r := startServer(t)
	u := ready(t, r.Addr(), func(c *Config) { c.Timeout = 500 * time.Millisecond }).SignUps("s")
	var users []exchange.UserKey
	for i := range 8 {
		users = append(users, userOf(i))
	}
	var claims []exchange.Claim
	for _, user := range users {
		c, err := u.Claim(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		claims = append(claims, c)
	}
	r.Stop()
	for i, user := range users {
		if err := u.Settle(t.Context(), user, claims[i], exchange.SignUpEnd{}); err == nil {
			t.Fatal("Settle has no error")
		}
		again, err := u.Claim(t.Context(), user)
		if !errors.Is(err, exchange.ErrDown) {
			t.Fatalf("Claim: %v", err)
		}
		if err := u.Settle(t.Context(), user, again, exchange.SignUpEnd{Hold: time.Minute}); err == nil {
			t.Fatal("Settle has no error")
		}
	}
	r.Continue()
	for _, user := range users {
		eventually(t, 10*time.Second, "it is held", func() bool {
			c, err := u.Look(t.Context(), user)
			return err == nil && c.State == exchange.SignUpHeld
		})
	}
}

// TestR2_DownOwesNothing: sign-ups while the store is down leave nothing to be
// made up for, but for those with an unclear end.
func TestR2_DownOwesNothing(t *testing.T) {
	r := startServer(t)
	s := ready(t, r.Addr())
	r.Kill()
	s.wantUp(t, false, 15*time.Second)
	u := s.SignUps("s")
	for user, end := range map[exchange.UserKey]exchange.SignUpEnd{
		"refused": {}, "exists": {Exists: true}, "unclear": {Hold: time.Minute},
	} {
		claim, err := u.Claim(t.Context(), user)
		if !errors.Is(err, exchange.ErrDown) {
			t.Fatalf("Claim: %v", err)
		}
		if err := u.Settle(t.Context(), user, claim, end); !errors.Is(err, exchange.ErrDown) {
			t.Fatalf("Settle: %v", err)
		}
	}
	if n := s.owed.n.Load(); n != 1 {
		t.Errorf("%d are owed", n)
	}
}

func TestOwedIsBounded(t *testing.T) {
	var o owed
	fails := func(context.Context) error { return errTimeout }
	for i := range maxOwed {
		if err := o.do(t.Context(), fmt.Sprint(i), fails); errors.Is(err, errOwesTooMuch) {
			t.Fatalf("not remembered: %d", i)
		}
	}
	if err := o.do(t.Context(), "0", fails); errors.Is(err, errOwesTooMuch) || !errors.Is(err, errTimeout) {
		t.Errorf("the same once more: %v", err)
	}
	if err := o.do(t.Context(), "one more", fails); !errors.Is(err, errOwesTooMuch) || !errors.Is(err, errTimeout) {
		t.Errorf("one more: %v", err)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(owed).do(left, "u", fails); err == nil {
		t.Error("no error")
	}
}

// TestOwedIsReplaced: while a debt is paid another one may come in its place.
func TestOwedIsReplaced(t *testing.T) {
	var o owed
	_ = o.do(t.Context(), "u", func(context.Context) error { return errTimeout })
	first := true
	_ = o.do(t.Context(), "u", func(ctx context.Context) error {
		if first { // as Forget's own try
			first = false
			return errTimeout
		}
		return o.do(ctx, "u", func(context.Context) error { return errTimeout })
	})
	o.pay(t.Context())
	if !o.has("u") {
		t.Error("what came meanwhile is not owed any more")
	}
}
