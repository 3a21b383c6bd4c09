package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// RunSignUps is what SignUps have to do between two replicas. newPair returns
// two replicas' views of one service without any markers.
func RunSignUps(t *testing.T, newPair func(t *testing.T) (a, b exchange.SignUps)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b exchange.SignUps)
	}{
		{"one claims, the other waits", signUpsWait},
		{"a user who was created is not created again", signUpsDone},
		{"one who was not can be", signUpsRefused},
		{"one of whom nobody knows is held", signUpsHeld},
		{"another's marker stays", signUpsOthers},
		{"users are apart", signUpsApart},
		{"one of many", signUpsContention},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newPair(t)
			test.run(t, a, b)
		})
	}
}

func wantClaim(t *testing.T, s exchange.SignUps, u exchange.UserKey, want exchange.SignUpState) exchange.Claim {
	t.Helper()
	c, err := s.Claim(t.Context(), u)
	if err != nil || c.State != want {
		t.Fatalf("Claim(%q) = %+v, %v; want state %d", u, c, err, want)
	}
	return c
}

func wantLook(t *testing.T, s exchange.SignUps, u exchange.UserKey, want exchange.SignUpState) exchange.Claim {
	t.Helper()
	c, err := s.Look(t.Context(), u)
	if err != nil || c.State != want {
		t.Fatalf("Look(%q) = %+v, %v; want state %d", u, c, err, want)
	}
	if (c.Left > 0) != (c.State != exchange.SignUpNone) {
		t.Errorf("Look(%q): state %d lasts %s", u, c.State, c.Left)
	}
	return c
}

func settle(t *testing.T, s exchange.SignUps, u exchange.UserKey, c exchange.Claim, end exchange.SignUpEnd) {
	t.Helper()
	if err := s.Settle(t.Context(), u, c, end); err != nil {
		t.Fatal(err)
	}
}

func signUpsWait(t *testing.T, a, b exchange.SignUps) {
	wantLook(t, b, "u", exchange.SignUpNone)
	c := wantClaim(t, a, "u", exchange.SignUpOurs)
	if c.Left < time.Minute {
		t.Errorf("it lasts %s", c.Left)
	}
	wantClaim(t, b, "u", exchange.SignUpRunning)
	wantClaim(t, a, "u", exchange.SignUpRunning)
	wantLook(t, a, "u", exchange.SignUpRunning)
	if l := wantLook(t, b, "u", exchange.SignUpRunning); l.Left < time.Minute || l.Left > c.Left {
		t.Errorf("it lasts %s, of %s", l.Left, c.Left)
	}
}

func signUpsDone(t *testing.T, a, b exchange.SignUps) {
	c := wantClaim(t, a, "u", exchange.SignUpOurs)
	settle(t, a, "u", c, exchange.SignUpEnd{Exists: true})
	wantLook(t, b, "u", exchange.SignUpDone)
	wantClaim(t, b, "u", exchange.SignUpDone)
	wantClaim(t, a, "u", exchange.SignUpDone)
}

func signUpsRefused(t *testing.T, a, b exchange.SignUps) {
	c := wantClaim(t, a, "u", exchange.SignUpOurs)
	settle(t, a, "u", c, exchange.SignUpEnd{})
	wantLook(t, b, "u", exchange.SignUpNone)
	wantClaim(t, b, "u", exchange.SignUpOurs)
}

func signUpsHeld(t *testing.T, a, b exchange.SignUps) {
	c := wantClaim(t, a, "u", exchange.SignUpOurs)
	settle(t, a, "u", c, exchange.SignUpEnd{Hold: 300 * time.Millisecond})
	if held := wantClaim(t, b, "u", exchange.SignUpHeld); held.Left <= 0 || held.Left > 300*time.Millisecond {
		t.Errorf("held for %s", held.Left)
	}
	wantLook(t, a, "u", exchange.SignUpHeld)
	time.Sleep(350 * time.Millisecond)
	wantLook(t, b, "u", exchange.SignUpNone)
	wantClaim(t, b, "u", exchange.SignUpOurs)
}

func signUpsOthers(t *testing.T, a, b exchange.SignUps) {
	wantClaim(t, a, "u", exchange.SignUpOurs)
	theirs, err := b.Claim(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	theirs.ID = "something else"
	settle(t, b, "u", theirs, exchange.SignUpEnd{})
	wantLook(t, b, "u", exchange.SignUpRunning)
	settle(t, b, "u", theirs, exchange.SignUpEnd{Hold: time.Minute})
	wantLook(t, b, "u", exchange.SignUpRunning)
	settle(t, b, "u", theirs, exchange.SignUpEnd{Exists: true}) // that is so, whoever says it
	wantLook(t, a, "u", exchange.SignUpDone)

	// An unclear end of which the marker is gone is held all the same.
	settle(t, b, "v", exchange.Claim{ID: "unknown"}, exchange.SignUpEnd{Hold: time.Minute})
	wantLook(t, a, "v", exchange.SignUpHeld)
}

func signUpsApart(t *testing.T, a, b exchange.SignUps) {
	wantClaim(t, a, "u", exchange.SignUpOurs)
	wantClaim(t, b, "v", exchange.SignUpOurs)
	wantClaim(t, b, "u\x00", exchange.SignUpOurs)
}

// signUpsContention: of many who claim at once, one has it.
func signUpsContention(t *testing.T, a, b exchange.SignUps) {
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
				c, err := s.Claim(t.Context(), u)
				switch {
				case err != nil:
					t.Error(err)
				case c.State == exchange.SignUpOurs:
					ours.Add(1)
				case c.State == exchange.SignUpRunning:
					running.Add(1)
				}
			})
		}
		wg.Wait()
		if ours.Load() != 1 || running.Load() != 49 {
			t.Fatalf("%d have the claim, %d wait; want 1 and 49", ours.Load(), running.Load())
		}
	}
}
