package caddymodule_test

import (
	"slices"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// inPeace does something while nobody else says anything to a Redis, and returns
// what it took. In the background a PING goes over an idle connection every
// second, and the store is looked after every five; each of them is short.
func inPeace(t *testing.T, p *redistest.Proxy, do func()) (commands []string, trips int) {
	t.Helper()
	background := []string{"ping", "get", "set", "publish"}
	for range 20 {
		before, tripsBefore := p.Seen()
		do()
		after, tripsAfter := p.Seen()
		commands, trips = after[len(before):], tripsAfter-tripsBefore
		if !slices.ContainsFunc(commands, func(c string) bool { return slices.Contains(background, c) }) {
			return commands, trips
		}
	}
	t.Fatalf("something of the background is among it each time: %q", commands)
	return nil, 0
}

// TestRedis_WhatAHitCosts: one in memory nothing, one in Redis one command, which
// is one round trip; of both directives.
func TestRedis_WhatAHitCosts(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		r := redistest.Start(t)
		proxy := redistest.Watch(t, r)
		fake := newHuma(t, sandbox.Config{})
		s := serve(t, p.site(fake, withStore(proxy, redisKey, "max_entries 1", "")))
		s.shared(1)
		token := func(user string) string { return s.request("GET", p.ask(), as(user)).token(t, p) }
		tokens := map[string]string{"a@x.example": token("a@x.example"), "b@x.example": token("b@x.example")}
		calls := len(fake.Calls().Calls)

		commands, trips := inPeace(t, proxy, func() {
			for range 100 {
				token("b@x.example")
			}
		})
		if len(commands) != 0 || trips != 0 {
			t.Errorf("100 hits in memory took %d round trips: %q", trips, commands)
		}
		user := "b@x.example"
		for range 20 { // the memory holds one user: the other one's token is in Redis
			commands, trips := inPeace(t, proxy, func() {
				if user == "a@x.example" {
					user = "b@x.example"
				} else {
					user = "a@x.example"
				}
				if token(user) != tokens[user] {
					t.Errorf("%s got another token", user)
				}
			})
			if !slices.Equal(commands, []string{"hmget"}) || trips != 1 {
				t.Errorf("a hit in Redis took %d round trips: %q", trips, commands)
			}
		}
		if n := len(fake.Calls().Calls) - calls; n != 0 {
			t.Errorf("%d calls", n)
		}
		// The proxy sees what it is meant to see.
		for _, c := range []string{"hello", "subscribe", "hmget", "evalsha"} {
			if all, _ := proxy.Seen(); !slices.Contains(all, c) {
				t.Errorf("no %s among %q", c, all)
			}
		}
	})
}
