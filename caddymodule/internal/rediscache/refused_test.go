package rediscache

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
)

func TestR2_WrongPassword(t *testing.T) {
	const canary = "canary-password"
	r := startServer(t, "--requirepass", "right")
	s := open(t, r.Addr(), short, func(c *Config) { c.Password = masked.New(canary) })
	s.wantWhy(t, "WRONGPASS")
	wantDown(t, s.Store)
	look(s.events, func() any {
		for _, err := range s.errs {
			wantNoCanary(t, err, canary)
		}
		return nil
	})
	r.Auth("right", "CONFIG", "SET", "requirepass", canary)
	s.wantUp(t, true, 5*time.Second)

	none := open(t, r.Addr(), short)
	none.wantWhy(t, "NOAUTH")
	wantDown(t, none.Store)
}

// TestR2_PasswordThatNobodyAskedFor: the server has none.
func TestR2_PasswordThatNobodyAskedFor(t *testing.T) {
	r := startServer(t)
	r.Do("ACL", "SETUSER", "default", "on", ">x", "~*", "&*", "+@all") // one it has, and it is another
	s := open(t, r.Addr(), short, func(c *Config) { c.Username, c.Password = "nobody", masked.New("canary-password") })
	s.wantWhy(t, "WRONGPASS")
}

// TestR2_ReadOnly: what is there is found, and writing is refused at once.
func TestR2_ReadOnly(t *testing.T) {
	t.Parallel()
	master := startServer(t)
	r := startServer(t)
	s := ready(t, r.Addr(), short)
	a, u := s.Account("a"), s.SignUps("s")
	m := ready(t, master.Addr()).Account("a")
	put(t, m, "u", "t")
	r.Do("REPLICAOF", "127.0.0.1", master.Addr()[len("127.0.0.1:"):])
	eventually(t, 10*time.Second, "it is a replica", func() bool { return r.Do("DBSIZE").(int64) == master.Do("DBSIZE").(int64) })

	_, _ = a.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), exchange.Generation{}, false)
	s.wantWhy(t, "READONLY")
	wantWritesRefused(t, a, u)
	eventually(t, time.Second, "found", func() bool {
		rec, _, _, err := a.Get(t.Context(), "u", "ios")
		return err == nil && storetest.TokenOf(rec) == "t"
	})
	if err := a.Forget(t.Context(), "u"); err == nil {
		t.Error("forgotten at a replica")
	}
	r.Do("REPLICAOF", "NO", "ONE")
	s.wantUp(t, true, 5*time.Second)
	put(t, a, "v", "t")
}

// TestR2_MayOnlyRead: a user of the server's who may not write. What they try all
// the same takes no reads away.
func TestR2_MayOnlyRead(t *testing.T) {
	r := startServer(t)
	put(t, ready(t, r.Addr()).Account("a"), "u", "t")
	r.Do("ACL", "SETUSER", "app", "on", ">canary-password", "~*", "&*", "+hello", "+ping", "+subscribe", "+@read")
	s := open(t, r.Addr(), short, func(c *Config) { c.Username, c.Password = "app", masked.New("canary-password") })
	s.wantWhy(t, "NOPERM")
	a, u := s.Account("a"), s.SignUps("s")
	wantToken(t, a, "u", "t")
	wantWritesRefused(t, a, u)
	for name, try := range map[string]func() error{
		"Forget": func() error { return a.Forget(t.Context(), "v") },
		"Settle": func() error { return u.Settle(t.Context(), "v", exchange.Claim{}, exchange.SignUpEnd{}) },
	} {
		if err := try(); err == nil || errors.Is(err, exchange.ErrDown) {
			t.Errorf("%s = %v", name, err)
		}
		wantToken(t, a, "u", "t")
	}
}

// wantWritesRefused fails unless writing is refused, and at once.
func wantWritesRefused(t *testing.T, a exchange.Shared, u exchange.SignUps) {
	t.Helper()
	start := time.Now()
	if _, err := a.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), exchange.Generation{}, false); !errors.Is(err, exchange.ErrDown) {
		t.Errorf("Put = %v", err)
	}
	if _, err := u.Claim(t.Context(), "v"); !errors.Is(err, exchange.ErrDown) {
		t.Errorf("Claim = %v", err)
	}
	if d := time.Since(start); d > noise {
		t.Errorf("it took %s", d)
	}
}

// TestR2_Full: what is there is found and can be forgotten.
func TestR2_Full(t *testing.T) {
	r := startServer(t, "--maxmemory-policy", "noeviction")
	s := ready(t, r.Addr(), short)
	a, u := s.Account("a"), s.SignUps("s")
	put(t, a, "u", "t")
	claim, err := u.Claim(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	r.Do("CONFIG", "SET", "maxmemory", "1mb")
	_, err = a.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), exchange.Generation{}, false)
	if err == nil {
		t.Fatal("it was put")
	}
	s.wantWhy(t, "OOM")
	wantWritesRefused(t, a, u)
	wantToken(t, a, "u", "t")
	// Some versions let the mark be left, too, because something was dropped.
	if err := a.Forget(t.Context(), "u"); err != nil {
		t.Logf("Forget = %v", err)
	}
	wantToken(t, a, "u", "")
	if err := u.Settle(t.Context(), "u", claim, exchange.SignUpEnd{}); err != nil {
		t.Errorf("Settle = %v", err)
	}
	if c, err := u.Look(t.Context(), "u"); err != nil || c.State != exchange.SignUpNone {
		t.Errorf("Look = %+v, %v", c, err)
	}
	r.Do("CONFIG", "SET", "maxmemory", "0")
	s.wantUp(t, true, 5*time.Second)
	put(t, a, "v", "t")
}

// TestR2_TooFewReplicas: a server that has been told to need some.
func TestR2_TooFewReplicas(t *testing.T) {
	r := startServer(t)
	s := ready(t, r.Addr(), short)
	a := s.Account("a")
	put(t, a, "u", "t")
	r.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	_, _ = a.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), exchange.Generation{}, false)
	s.wantWhy(t, "NOREPLICAS")
	wantToken(t, a, "u", "t")
	r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	s.wantUp(t, true, 5*time.Second)
}
