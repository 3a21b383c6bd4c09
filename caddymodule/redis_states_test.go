package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

const redisPassword = "canary-password"

// redisStates are what may be wrong with a Redis, so that it cannot be used or
// takes no writes.
var redisStates = []struct {
	name    string
	args    []string
	options string                                  // of the directive
	down    bool                                    // it does not run when Caddy starts
	before  func(t *testing.T, r *redistest.Server) // is done before Caddy starts
	after   func(r *redistest.Server)               // or when the store is in use
	says    string                                  // the log
}{
	{name: "down at start", down: true, says: "connection refused"},
	{name: "wrong password", args: []string{"--requirepass", "right"}, options: "password " + redisPassword, says: "WRONGPASS"},
	{name: "may do nothing", before: withUser("+hello", "+ping"), options: "username app\npassword " + redisPassword, says: "NOPERM"},
	{name: "may only read", before: withUser("+hello", "+ping", "+@read", "+subscribe"), options: "username app\npassword " + redisPassword, says: "NOPERM"},
	{name: "a replica", before: func(_ *testing.T, r *redistest.Server) { r.Do("REPLICAOF", "127.0.0.1", "1") }, says: "READONLY"},
	{name: "full", args: []string{"--maxmemory", "1", "--maxmemory-policy", "noeviction"}, says: "OOM"},
	{name: "cannot save", before: cannotSave, says: "MISCONF"},
	{name: "killed", after: (*redistest.Server).Kill, says: "redis: "},
	{name: "hangs", after: (*redistest.Server).Stop, says: "time"},
	{name: "full meanwhile", after: func(r *redistest.Server) { r.Do("CONFIG", "SET", "maxmemory", "1") }, says: "OOM"},
	{name: "a replica meanwhile", after: func(r *redistest.Server) { r.Do("REPLICAOF", "127.0.0.1", "1") }, says: "READONLY"},
}

// withUser makes the user "app", who may use these commands and nothing else.
func withUser(rules ...string) func(*testing.T, *redistest.Server) {
	return func(_ *testing.T, r *redistest.Server) {
		r.Do(append([]string{"ACL", "SETUSER", "app", "on", ">" + redisPassword, "~*", "&*"}, rules...)...)
	}
}

// cannotSave makes a Redis fail to save to disk, after which it takes no writes.
func cannotSave(t *testing.T, r *redistest.Server) {
	t.Helper()
	name := filepath.Join(r.Texts("CONFIG", "GET", "dir")[1], "dump.rdb")
	if err := os.MkdirAll(filepath.Join(name, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.Do("CONFIG", "SET", "save", "3600 1")
	r.Do("SET", "something", "to save", "PX", "60000")
	r.Do("BGSAVE")
	eventually(t, joins, "saving fails", func() bool {
		return strings.Contains(r.Text("INFO", "persistence"), "rdb_last_bgsave_status:err")
	})
}

// TestRedis_WhateverIsWrongWithIt: tokens come, new users are signed up, and
// both stay in memory. Only who says so with signup_without_store waits for the
// store with that.
func TestRedis_WhateverIsWrongWithIt(t *testing.T) {
	for _, state := range redisStates {
		t.Run(state.name, func(t *testing.T) {
			open := func(t *testing.T, p provider, more string) (*site, *fakeHuma) {
				t.Helper()
				r := redistest.Prepare(t, redistest.FreePort(t), state.args...)
				if !state.down {
					r.Run()
				}
				if state.before != nil {
					state.before(t, r)
				}
				fake := newHuma(t, sandbox.Config{})
				p.knows(fake, "known@x.example")
				s := serve(t, p.site(fake, withRedis(r, "1m", state.options+"\n"+more)))
				if state.after != nil {
					s.shared(1)
					state.after(r)
				}
				return s, fake
			}
			forBoth(t, func(t *testing.T, p provider) {
				s, fake := open(t, p, "")
				s.request("GET", p.ask(), as("early@x.example")).token(t, p)
				s.wantsStore(t, state.says)
				for _, user := range []string{"known@x.example", "new@x.example"} {
					token := s.request("GET", p.ask(), as(user)).token(t, p)
					if s.request("GET", p.ask(), as(user)).token(t, p) != token {
						t.Errorf("%s got another token the second time", user)
					}
				}
				signUps := 0
				if p.second == sandbox.OpSignUp {
					signUps = 2
				}
				p.only(t, fake, 3, signUps)
				if a := s.request("DELETE", p.path, as("known@x.example")); a.StatusCode != http.StatusNoContent {
					t.Errorf("DELETE: %d", a.StatusCode)
				}
			})
			t.Run("signup_without_store deny", func(t *testing.T) {
				s, fake := open(t, humaProvider, "signup_without_store deny")
				s.request("GET", iosPath, as("known@x.example")).tokens(t)
				s.wantsStore(t, state.says)
				a := s.request("GET", iosPath, as("new@x.example"))
				a.problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
				if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
					t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
				}
				if n := fake.calls(sandbox.OpSignUp); n != 0 {
					t.Errorf("%d sign-ups", n)
				}
			})
		})
	}
}

// wantsStore waits until the log tells that the store cannot be used, and why,
// and nothing that is nobody's business.
func (s *site) wantsStore(t *testing.T, why string) {
	t.Helper()
	eventually(t, joins, "the log tells why: "+why, func() bool {
		for _, line := range s.lines("the shared store cannot be used") {
			if strings.Contains(line, why) {
				return true
			}
		}
		return false
	})
	s.noSecretsInLog(redisPassword, redisKey, "known@x.example", "new@x.example")
}
