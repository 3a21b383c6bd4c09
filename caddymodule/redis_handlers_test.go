package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// TestRedis_OneAccountWrittenTwice: two handlers of one process whose secret is
// written differently have a memory each, and one account in the store. What is
// forgotten or replaced at one of them the other one does not hand out any more.
func TestRedis_OneAccountWrittenTwice(t *testing.T) {
	t.Setenv("HUMA_TEST_SECRET", "sandbox-secret")
	for _, test := range []struct {
		name string
		// act sends requests to /one, and returns the token that the user has
		// afterwards; empty: none.
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
					t.Fatal("they are two accounts")
				}
				next := test.act(t, s, p)
				if next != "" {
					looks := r.CommandCalls("hmget")
					if get("/one") != next || r.CommandCalls("hmget") != looks {
						t.Error("/one has thrown away what it has fetched")
					}
				}
				now := get("/two")
				if now == first || next != "" && now != next {
					t.Errorf("/two has %q; before it was %q, and /one has %q", now, first, next)
				}
				if get("/one") != now {
					t.Error("they have different tokens")
				}
			})
		})
	}
}

// TestK09_OtherEncryptionKeys: a handler that has none in common with the others
// says so, and serves without them.
func TestK09_OtherEncryptionKeys(t *testing.T) {
	const other = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
	r := redistest.Start(t)
	fake := newHuma(t, sandbox.Config{})
	one := humaService.options(fake)
	d := serveAdmin(t, "SITE {\n"+humaService.block("/one", one, withRedis(r, "1m", ""))+"}")
	d.waitShared(1)
	must(t, d.load("SITE {\n"+humaService.block("/one", one, withRedis(r, "1m", ""))+
		humanAPIService.block("/two", humanAPIService.options(fake), withStore(r, other, "ttl 1m", ""))+"}"))
	eventually(t, redisTimeout, "the log says why", func() bool {
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

// TestAdmin_EvictEndsAHold: at all replicas, of a user whose sign-up had an unclear end.
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
