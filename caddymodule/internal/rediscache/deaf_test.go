package rediscache

import (
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestWhoCannotHear: a replica that is not told who is forgotten shares nothing,
// and says why, until it can be told.
func TestWhoCannotHear(t *testing.T) {
	t.Parallel()
	as := func(c *Config) { c.Username, c.Password = "app", masked.New("pw") }
	for name, c := range map[string]struct {
		prevent func(t *testing.T, r *redistest.Server) (allow func())
		why     string
	}{
		"may not": {func(_ *testing.T, r *redistest.Server) func() {
			r.Do("ACL", "SETUSER", "app", "-subscribe")
			return func() { r.Do("ACL", "SETUSER", "app", "+subscribe") }
		}, "NOPERM"},
		"has no connection left for it": {func(t *testing.T, r *redistest.Server) func() {
			other := ready(t, r.Addr(), as) // has two
			r.Do("CONFIG", "SET", "maxclients", "3")
			return other.Close
		}, "max number of clients"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startServer(t)
			r.Do("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all")
			allow := c.prevent(t, r)
			s := open(t, r.Addr(), as)
			s.wantWhy(t, c.why)
			wantDown(t, s.Store)
			allow()
			s.wantUp(t, true, 5*time.Second)
			wantToken(t, s.Account("a"), "u", "")
		})
	}
}

// TestWhoCannotHearAnyMore: the same of one that could.
func TestWhoCannotHearAnyMore(t *testing.T) {
	r := startServer(t)
	r.Do("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all")
	s := ready(t, r.Addr(), func(c *Config) { c.Username, c.Password = "app", masked.New("pw") })
	r.Do("ACL", "SETUSER", "app", "-subscribe")
	r.Do("CLIENT", "KILL", "TYPE", "pubsub")
	s.wantUp(t, false, 3*time.Second)
	s.wantWhy(t, "NOPERM")
	wantDown(t, s.Store)
	r.Do("ACL", "SETUSER", "app", "+subscribe")
	s.wantUp(t, true, 5*time.Second)
}
