package rediscache

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

// TestR7_KeysEnd checks that a user's key expires together with the longest-lived of
// its values.
func TestR7_KeysEnd(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	a := ready(t, r.Addr()).account("a")
	key := a.prefix + keyOf("u")
	for _, step := range []struct {
		variant  exchange.Variant
		life     time.Duration
		from, to time.Duration // the key's lifetime afterwards; 0, 0: there is no key
		variants int64
	}{
		{"ios", time.Minute, 50 * time.Second, time.Minute, 1},
		{"web", time.Hour, 59 * time.Minute, time.Hour, 2},
		{"ios", time.Second, 59 * time.Minute, time.Hour, 2}, // it does not take the other's time
		{"ios", -time.Second, 59 * time.Minute, time.Hour, 1},
		{"web", 0, 0, 0, 0},
		{"ios", -time.Second, 0, 0, 0},
	} {
		_, _, seen, err := a.Get(t.Context(), "u", step.variant)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := a.Put(t.Context(), "u", step.variant, storetest.RecordOf("t", step.life), seen, false); err != nil || !kept {
			t.Fatalf("Put = %v, %v", kept, err)
		}
		left := max(0, time.Duration(r.Do("PTTL", key).(int64))*time.Millisecond)
		if left < step.from || left > step.to {
			t.Errorf("with %s for %s the key lasts %s", step.variant, step.life, left)
		}
		if n := r.Do("HLEN", key).(int64); n != step.variants {
			t.Errorf("with %s for %s there are %d variants, want %d", step.variant, step.life, n, step.variants)
		}
	}
}

// TestVariantsAreBounded checks that one of too many variants is deleted, but neither the new
// one nor the tombstone of an evicted user.
func TestVariantsAreBounded(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	a := ready(t, r.Addr()).account("a")
	variant := func(i int) exchange.Variant { return exchange.Variant(fmt.Sprint("k", i)) }
	for _, evicted := range []bool{false, true} {
		u := exchange.UserKey(fmt.Sprint(evicted))
		if evicted {
			if err := a.Evict(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		_, _, seen, err := a.Get(t.Context(), u, "k0")
		if err != nil || (seen != "") != evicted {
			t.Fatalf("the tombstone %q, %v", seen, err)
		}
		for i := range 100 {
			if kept, err := a.Put(t.Context(), u, variant(i), storetest.RecordOf("t", time.Minute), seen, false); err != nil || !kept {
				t.Fatalf("Put of variant %d = %v, %v", i, kept, err)
			}
			found := 0
			for j := range i + 1 {
				_, there, now, _ := a.Get(t.Context(), u, variant(j))
				if there {
					found++
				}
				if j == i && !there || now != seen {
					t.Fatalf("variant %d is present: %v, and the tombstone is %q", i, there, now)
				}
			}
			if found != min(i+1, 8) {
				t.Fatalf("%d variants after %d", found, i+1)
			}
		}
	}
}

// TestFlushOfMany tests more keys than one SCAN returns, among keys of others.
func TestFlushOfMany(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	s := ready(t, r.Addr())
	a, other := s.account("a"), s.account("b")
	for _, prefix := range []string{a.prefix, other.prefix} {
		r.Do("DEBUG", "POPULATE", "5000", prefix[:len(prefix)-1]) // Redis adds the colon
	}
	if n := len(r.Texts("KEYS", a.prefix+"*")); n != 5000 {
		t.Fatalf("%d keys", n)
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if own, others := len(r.Texts("KEYS", a.prefix+"*")), len(r.Texts("KEYS", other.prefix+"*")); own != 0 || others != 5000 {
		t.Errorf("%d keys of the account are left, and %d of another one", own, others)
	}
}
