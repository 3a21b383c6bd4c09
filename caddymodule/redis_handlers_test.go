package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestRedis_OneAccountTwoSpellings checks two handlers in one process whose secret is
// configured in two ways. They have separate memory caches, and share one account in the
// store. A token that one handler evicts or replaces must not be served by the other one.
func TestRedis_OneAccountTwoSpellings(t *testing.T) {
	t.Setenv("HUMA_TEST_SECRET", "sandbox-secret")
	for _, test := range []struct {
		name string
		// act sends requests to /one and returns the user's token afterwards; empty:
		// none.
		act func(t *testing.T, s *site, p service) string
	}{
		{"DELETE", func(t *testing.T, s *site, p service) string {
			t.Helper()
			if a := s.request("DELETE", "/one", as("a@x.example")); a.StatusCode != http.StatusNoContent {
				t.Errorf("DELETE: %d", a.StatusCode)
			}
			return ""
		}},
		{"no-cache", func(t *testing.T, s *site, p service) string {
			t.Helper()
			return s.request("GET", "/one?"+p.query, as("a@x.example"), noCache).token(t, p)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p service) {
				r := redistest.Start(t)
				fake := newHuma(t, sandbox.Config{})
				p.addUsers(fake, "a@x.example")
				store := withRedis(r, "1m", "")
				one := p.options(fake)
				two := strings.Replace(one, "sandbox-secret", "{env.HUMA_TEST_SECRET}", 1)
				s := serve(t, "SITE {\n"+p.block("/one", one, store)+p.block("/two", two, store)+"}")
				s.waitShared(1)
				get := func(path string) string {
					t.Helper()
					return s.request("GET", path+"?"+p.query, as("a@x.example")).token(t, p)
				}
				first := get("/one")
				if get("/two") != first {
					t.Fatal("the handlers use two accounts")
				}
				next := test.act(t, s, p)
				if next != "" {
					lookups := r.CommandCalls("hmget")
					if get("/one") != next || r.CommandCalls("hmget") != lookups {
						t.Error("/one has dropped the token that it has fetched")
					}
				}
				now := get("/two")
				if now == first || next != "" && now != next {
					t.Errorf("/two has %q; before it was %q, and /one has %q", now, first, next)
				}
				if get("/one") != now {
					t.Error("the handlers have different tokens")
				}
			})
		})
	}
}

// TestK09_OtherEncryptionKeys checks that a handler that has no encryption key in common
// with the other replicas logs this, and works without the store.
func TestK09_OtherEncryptionKeys(t *testing.T) {
	const other = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	one := humaService.options(fake)
	d := serveAdmin(t, "SITE {\n"+humaService.block("/one", one, withRedis(r, "1m", ""))+"}")
	d.waitShared(1)
	must(t, d.load("SITE {\n"+humaService.block("/one", one, withRedis(r, "1m", ""))+
		humanAPIService.block("/two", humanAPIService.options(fake), withStore(r, other, "ttl 1m", ""))+"}"))
	eventually(t, redisTimeout, "the reason is logged", func() bool {
		lines := d.logLines("shared store unavailable")
		return len(lines) == 1 && strings.Contains(lines[0], "different encryption keys")
	})
	d.wantHealth("with other keys", 200, "degraded", "shared_store_down")
	d.request("GET", "/one?"+humaService.query, as("a@x.example")).token(t, humaService)
	d.request("GET", "/two?"+humanAPIService.query, as("a@x.example")).token(t, humanAPIService)
	if n := len(tokenKeys(r)); n != 1 {
		t.Errorf("%d tokens in the store, want that of /one", n)
	}
}

// TestAdmin_EvictEndsAHold checks that evict ends the hold of a sign-up with an unclear
// result at all replicas.
func TestAdmin_EvictEndsAHold(t *testing.T) {
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	d := serveAdmin(t, simpleSite(fake, withRedis(r, "1m", "")))
	d.waitShared(1)
	must(t, fake.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignUp, Status: 500, Times: 1}}))
	d.request("GET", iosPath, as("new@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if all := lockValues(r); len(all) != 1 || all[0] != "held" {
		t.Fatalf("locks %q", all)
	}
	if a := d.evict(humaService, "new@x.example"); a.StatusCode != http.StatusOK {
		t.Fatalf("evict: %d %s", a.StatusCode, a.Body)
	}
	if all := lockValues(r); len(all) != 0 {
		t.Errorf("locks %q", all)
	}
	d.request("GET", iosPath, as("new@x.example")).tokens(t)
}
