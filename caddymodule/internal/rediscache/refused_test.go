package rediscache

import (
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/storetest"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestR2_Full checks that a server without room for writes is not used until it has room
// again. Evictions are executed nevertheless.
func TestR2_Full(t *testing.T) {
	t.Parallel()
	r := startServer(t, "--maxmemory-policy", "noeviction")
	s := ready(t, r.Addr(), short)
	a := s.account("a")
	put(t, a, "u", "t")
	r.Do("CONFIG", "SET", "maxmemory", "1mb")
	s.wantWhy(t, "OOM")
	wantDown(t, s)
	_ = a.Evict(t.Context(), "u") // an error if there was no room for its tombstone
	r.Do("CONFIG", "SET", "maxmemory", "0")
	s.wantUp(t, true, 5*time.Second)
	wantToken(t, a, "u", "")
	put(t, a, "v", "t")
}

// TestR2_NoWrites checks that a server that accepts no writes is not used until it does,
// and that an eviction that it refuses is an error.
func TestR2_NoWrites(t *testing.T) {
	t.Parallel()
	for why, commands := range map[string]struct{ begin, end []string }{
		"NOREPLICAS": {[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}},
		"NOPERM":     {[]string{"ACL", "SETUSER", "default", "-set", "-eval", "-evalsha"}, []string{"ACL", "SETUSER", "default", "+@all"}},
		"READONLY":   {[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}}, // E6
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			r := startServer(t)
			s := ready(t, r.Addr(), short)
			a := s.account("a")
			put(t, a, "u", "t")
			r.Do(commands.begin...)
			s.wantWhy(t, why)
			wantDown(t, s)
			if a.Evict(t.Context(), "u") == nil {
				t.Error("it was evicted")
			}
			r.Do(commands.end...)
			s.wantUp(t, true, 5*time.Second)
			put(t, a, "v", "t")
		})
	}
}

// TestR2_WrongPassword checks that a server is used once it accepts the password.
func TestR2_WrongPassword(t *testing.T) {
	t.Parallel()
	r := startServer(t, "--requirepass", "right")
	s := open(t, r.Addr(), short, func(c *Config) { c.Password = masked.New("canary-password") })
	s.wantWhy(t, "WRONGPASS")
	r.Auth("right", "CONFIG", "SET", "requirepass", "canary-password")
	s.wantUp(t, true, 5*time.Second)
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
