package caddymodule_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// requestCost is the cost of a request in Redis. The bytes do not include values whose
// length varies.
type requestCost struct {
	name           string
	roundTrips     int
	commands       string // such as "HMGET, 2 EVALSHA"
	received, sent int
}

// requestCosts holds the costs for both directives. The bytes are those of huma_token.
var requestCosts = []requestCost{
	{"cache hit in memory", 0, "–", 0, 0},
	{"cache hit in Redis", 1, "HMGET", 130, 830},
	{"sign-in", 2, "HMGET, EVALSHA", 1160, 18},
	{"sign-up", 4, "HMGET, 2 SET, EVALSHA", 1450, 28},
	{"`no-cache`", 2, "HMGET, EVALSHA", 1270, 970},
	{"`DELETE`", 1, "EVALSHA", 320, 141},
}

// TestDocs_RequestCosts checks the table in docs/redis.md.
func TestDocs_RequestCosts(t *testing.T) {
	var b strings.Builder
	b.WriteString("| request | round trips | commands | bytes received by Redis | bytes sent by Redis |\n|---|---|---|---|---|\n")
	for _, c := range requestCosts {
		_, _ = message.NewPrinter(language.English).Fprintf(&b, "| %s | %d | %s | %d | %d |\n", c.name, c.roundTrips, c.commands, c.received, c.sent)
	}
	golden.Part(t, redisDocs, "requests", b.String())
}

// measureCost makes a request for each of many users, and returns the most frequent cost.
// Other costs include the health check, which runs once a second.
func measureCost(t *testing.T, p *redistest.Proxy, users int, request func(i int)) requestCost {
	t.Helper()
	costs, most := make(map[string][]redistest.Traffic), ""
	for i := range users {
		before := p.Traffic()
		request(i)
		cost := p.Traffic().Sub(before)
		words := describeCommands(cost.Commands)
		if costs[words] = append(costs[words], cost); len(costs[words]) > len(costs[most]) {
			most = words
		}
	}
	counted := len(costs[most])
	if counted < users*3/4 {
		t.Fatalf("%d of %d requests had the same cost: %q", counted, users, most)
	}
	var sum redistest.Traffic
	for _, cost := range costs[most] {
		sum.RoundTrips += cost.RoundTrips
		sum.Received += cost.Received
		sum.Sent += cost.Sent
	}
	// The response to a health check may arrive during a request.
	each := func(n int) int { return int(math.Round(float64(n) / float64(counted))) }
	return requestCost{"", each(sum.RoundTrips), most, each(sum.Received), each(sum.Sent)}
}

// describeCommands returns commands in the format of requestCosts.
func describeCommands(commands []string) string {
	var words []string
	for i := 0; i < len(commands); {
		n := 1
		for i+n < len(commands) && commands[i+n] == commands[i] {
			n++
		}
		word := strings.ToUpper(commands[i])
		if n > 1 {
			word = fmt.Sprint(n, " ", word)
		}
		words = append(words, word)
		i += n
	}
	if len(words) == 0 {
		return "–"
	}
	return strings.Join(words, ", ")
}

// TestRedis_WhatARequestCosts measures requestCosts.
func TestRedis_WhatARequestCosts(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		const users = 100
		name := func(kind string, i int) string { return fmt.Sprintf("%s-%d@x.example", kind, i) }
		r := redistest.Start(t)
		proxy := redistest.StartProxy(t, r)
		fake := newHuma(t, sandbox.Config{})
		for i := range users {
			p.addUsers(fake, name("cached", i), name("known", i))
		}
		config := p.site(fake, withRedis(proxy, "1m", "timeout 10s")) // for a busy machine
		s := serve(t, config)
		s.waitShared(1)
		request := func(kind string, edit ...func(*http.Request)) func(i int) {
			return func(i int) { s.request("GET", p.target(), append(edit, as(name(kind, i)))...).token(t, p) }
		}
		evict := func(kind string) func(i int) {
			return func(i int) { s.request("DELETE", p.path, as(name(kind, i))) }
		}
		request("first")(0) // the first request loads the scripts into Redis
		evict("first")(0)

		for i := range users {
			request("cached")(i)
		}
		requests := map[string]func(i int){
			"cache hit in memory": request("cached"),
			"cache hit in Redis":  request("cached"),
			"sign-in":             request("known"),
			"sign-up":             request("new"),
			"`no-cache`":          request("cached", header("Cache-Control", "no-cache")),
			"`DELETE`":            evict("cached"),
		}
		for _, want := range requestCosts {
			switch {
			case want.name == "sign-up" && p.second != sandbox.OpSignUp:
				continue
			case want.name == "cache hit in Redis":
				s.restart(config)
			}
			calls := len(fake.Calls().Calls)
			got := measureCost(t, proxy, users, requests[want.name])
			got.name = want.name
			t.Logf("%+v", got)
			if got.roundTrips != want.roundTrips || got.commands != want.commands {
				t.Errorf("%+v, want %+v", got, want)
			}
			if p.directive == "huma_token" && (!approximately(got.received, want.received) || !approximately(got.sent, want.sent)) {
				t.Errorf("%+v, want %+v", got, want)
			}
			if n := len(fake.Calls().Calls) - calls; strings.HasPrefix(want.name, "cache hit") && n != 0 {
				t.Errorf("%s: %d calls", want.name, n)
			}
		}
	})
}

// approximately reports whether a number of bytes is the documented one, except for values whose
// length varies.
func approximately(got, documented int) bool {
	return math.Abs(float64(got-documented)) <= 10+0.1*float64(documented)
}
