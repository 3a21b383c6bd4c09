package rediscache

import (
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

func TestR2_WrongPassword(t *testing.T) {
	t.Parallel()
	const canary = "canary-password"
	r := startServer(t, "--requirepass", "right")
	s := open(t, r.Addr(), short, func(c *Config) { c.Password = masked.New(canary) })
	s.wantWhy(t, "WRONGPASS")
	wantDown(t, s)
	readEvents(s.events, func() any {
		for _, err := range s.errs {
			wantNoCanary(t, err, canary)
		}
		return nil
	})
	r.Auth("right", "CONFIG", "SET", "requirepass", canary)
	s.wantUp(t, true, 5*time.Second)

	none := open(t, r.Addr(), short)
	none.wantWhy(t, "NOAUTH")
	wantDown(t, none)
}

// TestR2_PasswordThatNobodyAskedFor tests a password for a server that has none.
func TestR2_PasswordThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	r.Do("ACL", "SETUSER", "default", "on", ">x", "~*", "&*", "+@all") // the server has another password
	s := open(t, r.Addr(), short, func(c *Config) { c.Username, c.Password = "unknown", masked.New("canary-password") })
	s.wantWhy(t, "WRONGPASS")
}

// TestR2_NoWrites checks that a server that accepts no writes is not used until it
// does. Evictions that it can execute are executed.
func TestR2_NoWrites(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		begin, end []string // CONFIG SET
		why        string
		drops      bool
	}{
		{"full", []string{"maxmemory", "1mb"}, []string{"maxmemory", "0"}, "OOM", true},
		{"too few replicas", []string{"min-replicas-to-write", "1"}, []string{"min-replicas-to-write", "0"}, "NOREPLICAS", false},
		{"may not", nil, nil, "NOPERM", false},
		{"a replica (E6)", nil, nil, "READONLY", false},
		{"is busy elsewhere", nil, nil, "BUSY", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := startServer(t, "--maxmemory-policy", "noeviction", "--busy-reply-threshold", "50")
			r.Do("ACL", "SETUSER", "app", "on", ">canary-password", "~*", "&*", "+@all")
			s := ready(t, r.Addr(), short, as("app"), func(c *Config) { c.Password = masked.New("canary-password") })
			a := s.account("a")
			put(t, a, "u", "t")
			begin, end := test.begin, test.end
			set := func(words []string) { r.Do(append([]string{"CONFIG", "SET"}, words...)...) }
			switch test.why {
			case "NOPERM":
				r.Do("ACL", "SETUSER", "app", "-set", "-eval", "-evalsha")
				set = func([]string) { r.Do("ACL", "SETUSER", "app", "+@all") }
			case "READONLY":
				master := startServer(t)
				r.Do("REPLICAOF", "127.0.0.1", master.Addr()[len("127.0.0.1:"):])
				set = func([]string) { r.Do("REPLICAOF", "NO", "ONE") }
			case "BUSY":
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = r.Server.Do(t.Context(), "EVAL", "while true do end", "0") // until it is killed
				}()
				set = func([]string) { r.Do("SCRIPT", "KILL"); <-ended }
			default:
				set(begin)
			}
			s.wantWhy(t, test.why)
			wantDown(t, s)
			if err := a.Evict(t.Context(), "u"); err == nil && !test.drops {
				t.Error("it was evicted")
			}
			set(end)
			s.wantUp(t, true, 5*time.Second)
			if test.drops { // even if there was no room for its tombstone
				wantToken(t, a, "u", "")
			}
			put(t, a, "v", "t")
		})
	}
}

// TestR9_FailoverBehindOneAddress checks that connections to the previous master are
// closed (case E6).
func TestR9_FailoverBehindOneAddress(t *testing.T) {
	t.Parallel()
	old, next := startServer(t), startServer(t)
	forward := redistest.StartProxy(t, old)
	s := ready(t, forward.Addr(), short)
	a := s.account("a")
	put(t, a, "u", "t")
	forward.SwitchTo(next)
	old.Do("REPLICAOF", "127.0.0.1", next.Addr()[len("127.0.0.1:"):])
	start := time.Now()
	eventually(t, 5*time.Second, "it is used again", func() bool {
		kept, err := a.Put(t.Context(), "v", "ios", storetest.RecordOf("t", time.Minute), "", false)
		return err == nil && kept
	})
	t.Logf("used again after %s", time.Since(start))
	s.wantUp(t, true, 5*time.Second)
	other := ready(t, forward.Addr())
	other.account("a")
	eventually(t, 5*time.Second, "messages of the new master are heard", func() bool {
		return a.Evict(t.Context(), "u") == nil && len(other.all()) > 0
	})
}

// TestK9_OtherKeys checks that a replica without a key in common with the others
// reports that, and shares nothing.
func TestK9_OtherKeys(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	with := func(keys ...byte) opened {
		return open(t, r.Addr(), func(c *Config) {
			c.Keys = nil
			for _, k := range keys {
				c.Keys = append(c.Keys, key(k))
			}
		})
	}
	first := with(1)
	first.wantUp(t, true, 5*time.Second)
	other := with(3)
	other.wantWhy(t, "different encryption keys")
	wantDown(t, other)
	both := with(2, 1) // as during a rotation
	both.wantUp(t, true, 5*time.Second)
	time.Sleep(3 * first.config.interval)
	if !first.Up() || !both.Up() || other.Up() {
		t.Error("those who have a key in common do not share any more, or the other does")
	}
	first.Close()
	both.Close()
	other.wantUp(t, true, 5*time.Second)
}
