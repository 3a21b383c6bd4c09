package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestAdmin_Evict checks that evict removes the tokens of one user from all accounts of a
// service, and flush those of all users. Accounts of the other service keep their tokens.
func TestAdmin_Evict(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example", "b@x.example")
		other := strings.NewReplacer("project_id p1", "project_id p2", "client_id hapi1", "client_id hapi2").Replace(p.options(fake))
		d := serveAdmin(t, "SITE {\n"+p.block("/one", p.options(fake), "")+p.block("/two", p.options(fake), "")+p.block("/other", other, "")+"}")
		get := func(user string) string {
			t.Helper()
			return d.request("GET", "/one?"+p.query, as(user)).token(t, p)
		}
		a, b := get("a@x.example"), get("b@x.example")
		checkEvicted := func(what string, res *response, evictedA, evictedB bool) {
			t.Helper()
			var v struct {
				Accounts int
				Replicas string
			}
			must(t, json.Unmarshal(res.Body, &v))
			if res.StatusCode != http.StatusOK || v.Accounts != 2 || v.Replicas != "none" {
				t.Errorf("%s: %d %s", what, res.StatusCode, res.Body)
			}
			nextA, nextB := get("a@x.example"), get("b@x.example")
			if (nextA != a) != evictedA || (nextB != b) != evictedB {
				t.Errorf("%s: evicted a: %v, b: %v; want %v, %v", what, nextA != a, nextB != b, evictedA, evictedB)
			}
			a, b = nextA, nextB
		}
		checkEvicted("evict a", d.evict(p, "a@x.example"), true, false)
		checkEvicted("evict A", d.evict(p, "A@X.example"), p.name == humaService.name, false)
		checkEvicted("evict an unknown user", d.evict(p, "c@x.example"), false, false)
		checkEvicted("flush", d.call("POST", "/huma/cache/flush", ""), true, true)
		if n := len(d.logLines("user evicted through the admin API")); n != 6 { // one for each account
			t.Errorf("%d lines, want 6", n)
		}
		d.notLogged(t, "@x.example")
	})
}

// TestAdmin_SharedStore checks that evict and flush also delete from the shared store. If
// the store is down, the response says what was deleted.
func TestAdmin_SharedStore(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		r := redistest.Start(t)
		fake := newHuma(t, sandbox.Config{})
		p.addUsers(fake, "a@x.example", "b@x.example")
		config := p.site(fake, withRedis(r, "1m", ""))
		d := serveAdmin(t, config)
		get := func(user string) string { return d.request("GET", p.target(), as(user)).token(t, p) }
		eventually(t, redisTimeout, "the store is up", func() bool { return d.status().Accounts[0].Handlers[0].Store == "up" })
		checkResponse := func(what string, a *response, status int, text string) {
			t.Helper()
			if a.StatusCode != status || !strings.Contains(string(a.Body), text) {
				t.Errorf("%s: %d %s; want %d %s", what, a.StatusCode, a.Body, status, text)
			}
		}
		a, b := get("a@x.example"), get("b@x.example")
		checkResponse("evict", d.evict(p, "a@x.example"), 200, `"replicas": "notified"`)
		if again := get("a@x.example"); again == a {
			t.Error("evict: the token came from the store")
		}
		checkResponse("flush", d.call("POST", "/huma/cache/flush", ""), 200, `"replicas": "notified"`)
		if again := get("b@x.example"); again == b {
			t.Error("flush: the token came from the store")
		} else {
			b = again
		}

		r.Kill()
		eventually(t, redisTimeout, "the store is down", func() bool { return d.status().Accounts[0].Handlers[0].Store == "down" })
		d.wantHealth("the store is down", 200, "degraded", "shared_store_down")
		checkResponse("evict without the store", d.evict(p, "b@x.example"), 503, "evict again")
		if again := get("b@x.example"); again == b {
			t.Error("evict without the store: the token is still cached")
		} else {
			b = again
		}
		checkResponse("flush without the store", d.call("POST", "/huma/cache/flush", ""), 503, "flush again")
		if again := get("b@x.example"); again == b {
			t.Error("flush without the store: the token is still cached")
		}
		d.notLogged(t, "@x.example")
	})
}
