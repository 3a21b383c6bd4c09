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
		// act is what a user does at /one, and what token they have then; empty:
		// none.
		act func(t *testing.T, s *site, p provider) string
	}{
		{"DELETE", func(t *testing.T, s *site, p provider) string {
			t.Helper()
			if a := s.request("DELETE", "/one", as("a@x.example")); a.StatusCode != http.StatusNoContent {
				t.Errorf("DELETE: %d", a.StatusCode)
			}
			return ""
		}},
		{"no-cache", func(t *testing.T, s *site, p provider) string {
			t.Helper()
			return s.request("GET", "/one?"+p.query, as("a@x.example"), fresh).token(t, p)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, p provider) {
				r := redistest.Start(t)
				fake := newHuma(t, sandbox.Config{})
				p.knows(fake, "a@x.example")
				store := withRedis(r, "1m", "")
				one := p.options(fake)
				two := strings.Replace(one, "sandbox-secret", "{env.HUMA_TEST_SECRET}", 1)
				s := serve(t, "SITE {\n"+p.block("/one", one, store)+p.block("/two", two, store)+"}")
				s.shared(1)
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
					looks := r.Calls("hmget")
					if get("/one") != next || r.Calls("hmget") != looks {
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
