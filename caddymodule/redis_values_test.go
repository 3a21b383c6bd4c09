package caddymodule_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// storedToken requests a token and returns it with its key and field in the store.
func (s *site) storedToken(p service, r *redistest.Server, edit ...func(*http.Request)) (token, key, field string) {
	s.t.Helper()
	before := tokenFields(r)
	token = s.request("GET", p.target(), edit...).token(s.t, p)
	for at := range tokenFields(r) {
		if _, old := before[at]; !old {
			return token, at[0], at[1]
		}
	}
	s.t.Fatal("the token is not in the store")
	return "", "", ""
}

// tokenFields returns the values of all users' tokens, by key and field.
func tokenFields(r *redistest.Server) map[[2]string]string {
	all := make(map[[2]string]string)
	for _, key := range tokenKeys(r) {
		list := r.Texts("HGETALL", key)
		for i := 0; i+1 < len(list); i += 2 {
			all[[2]string{key, list[i]}] = list[i+1]
		}
	}
	return all
}

// TestR05_ValuesThatCannotBeOpened checks that a damaged or replaced value causes a new
// token and no error, and that no user gets the token of another one.
func TestR05_ValuesThatCannotBeOpened(t *testing.T) {
	flip := func(value string, at int) string {
		b := []byte(value)
		b[at] ^= 1
		return string(b)
	}
	cases := []struct {
		name   string
		damage func(own, other, otherKind string) string
	}{
		{"empty", func(string, string, string) string { return "" }},
		{"cut", func(own, _, _ string) string { return own[:len(own)/2] }},
		{"flipped", func(own, _, _ string) string { return flip(own, len(own)-1) }},
		{"another user's", func(_, other, _ string) string { return other }},
		{"another kind's", func(_, _, otherKind string) string { return otherKind }},
		{"of an unknown key", func(own, _, _ string) string { return flip(own, 1) }},
		{"of an unknown version", func(own, _, _ string) string { return flip(own, 0) }},
	}
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Start(t)
		fake := newHuma(t, sandbox.Config{})
		config := p.site(fake, withStore(r, redisKey, "vary {http.request.header.X-Device}", ""))
		s := serve(t, config)
		s.waitShared(1)
		device := func(name string) func(*http.Request) { return header("X-Device", name) }
		other, otherKey, otherField := s.storedToken(p, r, as("other@x.example"), device("a"))
		seen := map[string]string{other: "the other user"}
		user := func(i int) func(*http.Request) { return as(fmt.Sprintf("u%d@x.example", i)) }
		for i, c := range cases {
			token, key, field := s.storedToken(p, r, user(i), device("a"))
			secondToken, _, second := s.storedToken(p, r, user(i), device("b"))
			seen[token], seen[secondToken] = c.name, c.name+", the other kind"
			value := c.damage(r.Text("HGET", key, field), r.Text("HGET", otherKey, otherField), r.Text("HGET", key, second))
			r.Do("HSET", key, field, value)
		}

		s.restart(config)
		fresh := make([]string, len(cases))
		before := len(fake.Calls().Calls)
		for i, c := range cases {
			fresh[i] = s.request("GET", p.target(), user(i), device("a")).token(t, p)
			if whose, old := seen[fresh[i]]; old {
				t.Errorf("%s: got the token of %s", c.name, whose)
			}
		}
		if s.request("GET", p.target(), as("other@x.example"), device("a")).token(t, p) != other {
			t.Error("an undamaged value is not used")
		}
		if n := len(fake.Calls().Calls) - before; n != len(cases) {
			t.Errorf("%d calls for %d values", n, len(cases))
		}
		if n := len(s.logLines("cannot decrypt a value")); n != len(cases) {
			t.Errorf("%d values were logged, want %d", n, len(cases))
		}

		s.restart(config) // the new values are valid
		for i, c := range cases {
			if got := s.request("GET", p.target(), user(i), device("a")).token(t, p); got != fresh[i] {
				t.Errorf("%s: not the token that replaced the value", c.name)
			}
		}
	})
}

// TestR06_KeysAreRotated uses k1, then k2 k1, then k2, each in another process.
func TestR06_KeysAreRotated(t *testing.T) {
	const k1, k2 = redisKey, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Start(t)
		fake := newHuma(t, sandbox.Config{})
		config := func(keys string) string { return p.site(fake, withStore(r, keys, "", "")) }
		token := func(s *site, user string) string { return s.request("GET", p.target(), as(user)).token(t, p) }
		calls := func() int { return len(fake.Calls().Calls) }

		s := serve(t, config(k1))
		s.waitShared(1)
		old := token(s, "old@x.example")
		s.restart(config(k2 + " " + k1))
		before := calls()
		if token(s, "old@x.example") != old || calls() != before {
			t.Error("a value of k1 is not served with k2 k1")
		}
		late := token(s, "late@x.example")
		s.restart(config(k2))
		before = calls()
		if token(s, "late@x.example") != late || calls() != before {
			t.Error("a value of k2 k1 is not served with k2")
		}
		if token(s, "old@x.example") == old || calls() == before {
			t.Error("a value of k1 is served with k2")
		}
		if lines := s.warnings("store"); len(lines) > 0 {
			t.Errorf("warnings: %q", lines)
		}
		s.noSecretsInLog(k1, k2)
	})
}

// TestR08_RandomlyCanceledRequests cancels half of the requests, while most tokens come from
// the store. No user may get the token of another one.
func TestR08_RandomlyCanceledRequests(t *testing.T) {
	const users, workers = 50, 16
	requests := int64(5_000)
	if longTest() {
		requests = 100_000
	}
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	s := serve(t, simpleSite(fake, withStore(r, redisKey, "ttl 10m\nmax_entries 5", "")))
	s.waitShared(1)
	user := func(i int) func(*http.Request) { return as(fmt.Sprintf("u%d@x.example", i)) }
	var owners [users]string
	for i := range owners {
		owners[i] = s.request("GET", iosPath, user(i)).tokens(t).UID
	}
	var next, good atomic.Int64
	before := r.CommandCalls("hmget")
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := next.Add(1); n <= requests; n = next.Add(1) {
				i := rand.IntN(users)
				ctx, cancel := context.WithCancel(t.Context())
				if n%2 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
				}
				a, err := s.tryRequest(ctx, "GET", iosPath, user(i))
				cancel()
				switch {
				case err != nil && n%2 == 0: // this request was canceled
				case err != nil || a.StatusCode != http.StatusOK:
					t.Errorf("request %d: %v, %v", n, a, err)
				case a.tokens(t).UID != owners[i]:
					t.Errorf("user %d got the token of another user", i)
				default:
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	reads := r.CommandCalls("hmget") - before
	t.Logf("%d requests, %d with a token, %d reads of the store", requests, good.Load(), reads)
	if good.Load() < requests/2 || int64(reads) < requests/4 {
		t.Errorf("%d of %d had a token, with %d reads of the store", good.Load(), requests, reads)
	}
}
