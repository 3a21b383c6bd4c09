package caddymodule_test

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// requestCost is what a request costs in Redis.
type requestCost struct {
	roundTrips     int
	commands       string // such as "HMGET, 2 EVALSHA"
	received, sent float64
}

// costOf makes a request for each of many users, and returns what most of them
// cost: once a second the store is looked at, and what comes together with that
// differs.
func costOf(t *testing.T, p *redistest.Proxy, users int, request func(i int)) requestCost {
	t.Helper()
	costs, most := make(map[string][]redistest.Seen), ""
	for i := range users {
		before := p.Seen()
		request(i)
		cost := p.Seen().Since(before)
		words := inWords(cost.Commands)
		if costs[words] = append(costs[words], cost); len(costs[words]) > len(costs[most]) {
			most = words
		}
	}
	counted := len(costs[most])
	if counted < users*3/4 {
		t.Fatalf("%d of %d requests took the same: %q", counted, users, most)
	}
	var sum redistest.Seen
	for _, cost := range costs[most] {
		sum.RoundTrips += cost.RoundTrips
		sum.Received += cost.Received
		sum.Sent += cost.Sent
	}
	// What a look has asked before may be answered during a request.
	each := func(n int) float64 { return float64(n) / float64(counted) }
	return requestCost{int(math.Round(each(sum.RoundTrips))), most, each(sum.Received), each(sum.Sent)}
}

// inWords are commands as the manual writes them.
func inWords(commands []string) string {
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

// TestRedis_WhatARequestCosts: what the manual tells of it, of both directives.
// The lengths are those of huma_token.
func TestRedis_WhatARequestCosts(t *testing.T) {
	documented := costsOfManual(t)
	forBoth(t, func(t *testing.T, p provider) {
		const users = 100
		name := func(kind string, i int) string { return fmt.Sprintf("%s-%d@x.example", kind, i) }
		r := redistest.Start(t)
		proxy := redistest.Watch(t, r)
		fake := newHuma(t, sandbox.Config{})
		for i := range users {
			p.knows(fake, name("known", i))
		}
		config := p.site(fake, withRedis(proxy, "1m", "timeout 10s")) // also on a busy machine
		s := serve(t, config)
		s.shared(1)
		ask := func(kind string, edit ...func(*http.Request)) func(i int) {
			return func(i int) { s.request("GET", p.ask(), append(edit, as(name(kind, i)))...).token(t, p) }
		}
		forget := func(kind string) func(i int) {
			return func(i int) { s.request("DELETE", p.path, as(name(kind, i))) }
		}
		ask("first")(0) // the first time Redis is told the scripts
		forget("first")(0)

		rows := []struct {
			name    string
			before  func()
			request func(i int)
		}{
			{name: "signs in", request: ask("known")},
			{name: "signs up", request: ask("new")},
			{name: "from this replica's memory", request: ask("known")},
			{name: "`no-cache`", request: ask("known", header("Cache-Control", "no-cache"))},
			{name: "from Redis", before: func() { s.restart(config) }, request: ask("known")},
			{name: "`DELETE`", request: forget("known")},
		}
		if p.second != sandbox.OpSignUp { // nobody is signed up
			rows = slices.Delete(rows, 1, 2)
		}
		for _, row := range rows {
			calls := len(fake.Calls().Calls)
			if row.before != nil {
				row.before()
			}
			got, want := costOf(t, proxy, users, row.request), documented[row.name]
			t.Logf("%s: %+v", row.name, got)
			if got.roundTrips != want.roundTrips || got.commands != want.commands {
				t.Errorf("%s: %+v, the manual says %+v", row.name, got, want)
			}
			if p.directive == "huma_token" && (!about(got.received, want.received) || !about(got.sent, want.sent)) {
				t.Errorf("%s: %+v, the manual says %+v", row.name, got, want)
			}
			if n := len(fake.Calls().Calls) - calls; strings.HasPrefix(row.name, "from") && n != 0 {
				t.Errorf("%s: %d calls", row.name, n)
			}
		}
	})
}

// about reports whether a number is what was documented, but for the lengths of
// what differs from time to time.
func about(got, documented float64) bool { return math.Abs(got-documented) <= 10+0.1*documented }

// costsOfManual reads the manual's table of what requests cost.
func costsOfManual(t *testing.T) map[string]requestCost {
	t.Helper()
	costs := make(map[string]requestCost)
	row := regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+) \| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|`)
	for _, cells := range row.FindAllStringSubmatch(manualTable(t, "requests"), -1) {
		number := func(i int) float64 {
			n, _ := strconv.ParseFloat(strings.ReplaceAll(cells[i], ",", ""), 64) // the expression lets only numbers through
			return n
		}
		costs[cells[1]] = requestCost{int(number(2)), cells[3], number(4), number(5)}
	}
	return costs
}
