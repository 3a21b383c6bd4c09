package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// redisKey is the encryption key of these tests.
const redisKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

// redisTimeout is the time within which a replica must detect that Redis is available again.
const redisTimeout = 15 * time.Second

// addresser is a Redis, or a proxy in front of one.
type addresser interface{ Addr() string }

// withRedis returns the option cache with a shared store.
func withRedis(r addresser, ttl, more string) string {
	return withStore(r, redisKey, "ttl "+ttl, more)
}

// withStore is like withRedis, with other encryption keys and further options of the
// cache.
func withStore(r addresser, keys, cache, more string) string {
	if !strings.Contains(more, "timeout") {
		more += "\ntimeout 5s" // for a busy machine
	}
	return "cache {\n" + cache + "\nredis {\naddress " + r.Addr() + "\nencryption_keys " + keys + "\n" + more + "\n}\n}"
}

// waitShared waits until the site has connected to the store n times.
func (s *site) waitShared(n int) {
	s.t.Helper()
	eventually(s.t, redisTimeout, "the shared store is used", func() bool { return len(s.logLines("connected to the shared store")) >= n })
}

// restart loads a config with an empty memory cache, like another process, and waits
// until it uses the store.
func (s *site) restart(config string) {
	s.t.Helper()
	n := len(s.logLines("connected to the shared store"))
	for _, text := range []string{"SITE {\nrespond ok\n}", config} { // a config without the directive drops the memory cache
		s.move()
		if err := s.load(text); err != nil {
			s.t.Fatal(err)
		}
	}
	s.waitShared(n + 1)
}

// dump returns all keys of the store with their values.
func dump(t *testing.T, r *redistest.Server) string {
	t.Helper()
	var b strings.Builder
	for _, key := range r.Texts("KEYS", "*") {
		const gone = -2 // the key has expired since it was listed
		ttl, _ := r.Do("PTTL", key).(int64)
		if ttl == gone {
			continue
		}
		if ttl <= 0 {
			t.Errorf("%q does not expire: %d", key, ttl)
		}
		fmt.Fprintf(&b, "%s: ", key)
		if r.Text("TYPE", key) == "hash" {
			b.WriteString(strings.Join(r.Texts("HGETALL", key), " "))
		} else {
			b.WriteString(r.Text("GET", key))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// tokenKeys returns the keys of users' tokens.
func tokenKeys(r *redistest.Server) []string { return r.Texts("KEYS", "caddy-huma:t:*") }

// TestR07_TheStoreHoldsNothingInClear checks that the store contains only encrypted
// values, for both services.
func TestR07_TheStoreHoldsNothingInClear(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Start(t)
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, withRedis(r, "1m", "")))
		s.waitShared(1)
		a := s.request("GET", p.target(), as("canary@x.example"), header("X-Test-Name", "Canary Name"))
		token := a.token(t, p)
		text := dump(t, r)
		if len(tokenKeys(r)) != 1 {
			t.Errorf("the token is not in the store: %q", text)
		}
		for _, clear := range []string{"canary", "Canary", "x.example", token, token[:len(token)/2], "sandbox-secret"} {
			if strings.Contains(text, clear) {
				t.Errorf("%q is in the store: %q", clear, text)
			}
		}
		s.noSecretsInLog(token, "canary@x.example", redisKey)

		// DELETE deletes the token from the store, too.
		if a := s.request("DELETE", p.path, as("canary@x.example")); a.StatusCode != http.StatusNoContent {
			t.Fatalf("DELETE: %d", a.StatusCode)
		}
		for _, key := range tokenKeys(r) { // only the tombstone remains
			if n, _ := r.Do("HLEN", key).(int64); n != 1 {
				t.Errorf("%q holds %d fields", key, n)
			}
		}
		if s.request("GET", p.target(), as("canary@x.example")).token(t, p) == token {
			t.Error("the token is still cached")
		}
	})
}

// TestR01_RedisIsDownAtStart checks that tokens are issued without Redis, and that the
// store is used once Redis is available.
func TestR01_RedisIsDownAtStart(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Prepare(t, redistest.FreePort(t))
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, withRedis(r, "1m", "")))
		s.request("GET", p.target(), as("early@x.example")).token(t, p)
		r.Run()
		s.waitShared(1)
		s.request("GET", p.target(), as("late@x.example")).token(t, p)
		if n := len(tokenKeys(r)); n != 1 {
			t.Errorf("%d users in the store, want the last one", n)
		}
	})
}

// TestR02_RedisGoesUnderLoad checks that no request of a known or a new user fails when
// Redis stops.
func TestR02_RedisGoesUnderLoad(t *testing.T) {
	for _, test := range []struct {
		name       string
		goes, back func(r *redistest.Server)
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Run},
		{"it hangs", (*redistest.Server).Stop, (*redistest.Server).Continue},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := redistest.Start(t)
			fake := newHuma(t, sandbox.Config{})
			s := serve(t, simpleSite(fake, withRedis(r, "1m", "")))
			s.waitShared(1)
			known := s.request("GET", iosPath, as("known@x.example")).tokens(t).UID
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() { s.requestTokens(ctx, worker, known) })
			}
			more := func(n int) {
				t.Helper()
				n += fake.calls(sandbox.OpSignUp)
				eventually(t, redisTimeout, "more users", func() bool { return fake.calls(sandbox.OpSignUp) >= n })
			}
			more(20)
			test.goes(r)
			eventually(t, redisTimeout, "the outage is logged", func() bool { return len(s.logLines("shared store unavailable")) > 0 })
			more(20)
			stop()
			wg.Wait()
			if n := fake.calls(sandbox.OpSignUp); n != len(fake.Users()) {
				t.Errorf("%d sign-ups of %d users", n, len(fake.Users()))
			}
			test.back(r)
			s.waitShared(2)
		})
	}
}

// requestTokens requests tokens of the user with the uid known, and now and then of a new
// one, until ctx ends.
// An operation of the store takes at most 100 ms; the rest is tolerance for a busy
// machine.
func (s *site) requestTokens(ctx context.Context, worker int, known string) {
	const patience = 3 * time.Second
	for i := 0; ctx.Err() == nil; i++ {
		user := as("known@x.example")
		if i%4 == 0 {
			user = as(fmt.Sprintf("new-%d-%d@x.example", worker, i))
		}
		start := time.Now()
		a, err := s.tryRequest(context.Background(), "GET", iosPath, user)
		if d := time.Since(start); err != nil || a.StatusCode != http.StatusOK || d > patience {
			s.t.Errorf("request %d: %v %v after %s", i, a, err, d)
			return
		}
		if ofKnown := strings.Contains(string(a.Body), `"`+known+`"`); ofKnown != (i%4 != 0) {
			s.t.Errorf("request %d: a token of another user: %s", i, a.Body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestRedis_AReloadKeepsTheConnection checks that a reload keeps the connection and the
// memory cache.
func TestRedis_AReloadKeepsTheConnection(t *testing.T) {
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	config := simpleSite(fake, withRedis(r, "1m", ""))
	s := serve(t, config)
	s.waitShared(1)
	s.request("GET", iosPath, as("a@x.example")).tokens(t)
	ids := func() string {
		var all []string
		for line := range strings.Lines(r.Text("CLIENT", "LIST")) {
			if id, _, _ := strings.Cut(line, " "); !strings.Contains(line, "cmd=client") {
				all = append(all, id)
			}
		}
		return strings.Join(all, " ")
	}
	was := ids()
	for i := range 3 {
		if err := s.load(config + fmt.Sprintf("\n# %d", i)); err != nil {
			t.Fatal(err)
		}
		s.request("GET", iosPath, as("a@x.example")).tokens(t)
	}
	if now := ids(); now != was {
		t.Errorf("the connections were %q and are %q", was, now)
	}
	if n := fake.calls(sandbox.OpSignIn); n != 1 {
		t.Errorf("%d sign-ins: the memory cache was lost", n)
	}
}

// TestR02_RedisComesBackEmpty checks that no request fails, and that each user is signed
// in once.
func TestR02_RedisComesBackEmpty(t *testing.T) {
	const users = 300
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(fake, withRedis(r, "10m", "timeout 5s")))
	s.waitShared(1)
	all := func() {
		t.Helper()
		var wg sync.WaitGroup
		for i := range users {
			wg.Go(func() {
				a, err := s.tryRequest(context.Background(), "GET", iosPath, as(fmt.Sprintf("u%d@x.example", i)))
				if err != nil || a.StatusCode != http.StatusOK {
					t.Errorf("user %d: %v %v", i, a, err)
				}
			})
		}
		wg.Wait()
	}
	all()
	calls := len(fake.Calls().Calls)
	r.Kill()
	eventually(t, redisTimeout, "the outage is logged", func() bool { return len(s.logLines("shared store unavailable")) > 0 })
	all()
	r.Run()
	s.waitShared(2)
	all() // tokens younger than a minute come from memory
	if n := len(fake.Calls().Calls) - calls; n != 0 {
		t.Errorf("%d calls", n)
	}
	s.restart(simpleSite(fake, withRedis(r, "10m", "timeout 5s")))
	all()
	all()
	if n := len(fake.Calls().Calls) - calls; n != users {
		t.Errorf("%d calls for %d users whose token is not cached", n, users)
	}
	if n := len(tokenKeys(r)); n != users {
		t.Errorf("%d users in the store afterwards", n)
	}
}
