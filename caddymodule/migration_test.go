package caddymodule_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// caddyfileBlocks returns the Caddyfiles of a page of the documentation.
func caddyfileBlocks(t *testing.T, page string) (blocks []string) {
	t.Helper()
	for _, text := range strings.Split(readGolden(t, page), "\n```caddyfile\n")[1:] {
		text, _, _ = strings.Cut(text, "```")
		blocks = append(blocks, text)
	}
	if blocks == nil {
		t.Fatalf("%s: no Caddyfile", page)
	}
	return blocks
}

// startApplication starts an application with the endpoint of Huma's quick start in
// Python, and returns its address. Its users have access tokens: alice, whom Huma knows,
// and bob.
func startApplication(t *testing.T, fake *fakeHuma) string {
	t.Helper()
	endpoint := &url.URL{Scheme: "http", Host: startQuickStart(t, fake)}
	application := testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer canary-")
		switch {
		case !ok:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/me":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"email": "` + user + `@x.example", "first_name": "A", "last_name": "B"}`))
		default:
			r.Header.Set("Remote-Email", user+"@x.example")
			httputil.NewSingleHostReverseProxy(endpoint).ServeHTTP(w, r)
		}
	})
	return strings.TrimPrefix(application, "http://")
}

// TestMigration checks the Caddyfiles of docs/migration.md with the endpoint of Huma's
// quick start in Python: both in parallel, the switch for all users or for a part of the
// requests, and the way back.
func TestMigration(t *testing.T) {
	fake := newHuma(t, sandbox.Config{Users: []string{"alice@x.example"}})
	application, config, internal := startApplication(t, fake), humaConfig(t, fake), freeAddress(t)
	_, port, _ := strings.Cut(internal, ":")
	replacer := strings.NewReplacer("app.example.com {", "SITE {", "app:8000", application,
		"/etc/huma/huma-config.json", config, "127.0.0.1:8081", internal, "http://:8081", "http://:"+port)
	all := caddyfileBlocks(t, "../docs/migration.md")
	if len(all) != 3 {
		t.Fatalf("%d Caddyfiles", len(all))
	}
	for i, text := range all {
		all[i] = replacer.Replace(text)
	}
	migrated, parallel, part := all[0], all[1], all[2]
	// changed returns a Caddyfile with one line changed, as the page says: it has the end of
	// the new line.
	changed := func(text, from, begin, end string) string {
		t.Helper()
		if strings.Count(text, from) != 1 || !strings.Contains(readGolden(t, "../docs/migration.md"), "`"+end+"`") {
			t.Fatalf("the page does not tell to change %q to %q:\n%s", from, begin+end, text)
		}
		return strings.Replace(text, from, begin+end, 1)
	}
	const path, next, weighted = "/private/huma-token", "/private/huma-token-next", "lb_policy weighted_round_robin "
	auth := func(user string) func(*http.Request) { return header("Authorization", "Bearer canary-"+user) }
	isNew := func(r *response) bool { return strings.Contains(string(r.Body), `"expiresIn"`) }

	s := serve(t, parallel)
	t.Run("parallel", func(t *testing.T) {
		before, after := s.request("GET", path+"?client_type=ios", auth("alice")), s.request("GET", next+"?client_type=ios", auth("alice"))
		if isNew(before) || !isNew(after) {
			t.Fatalf("%s\n%s", before.Body, after.Body)
		}
		if uid := `"uid": "` + after.tokens(t).UID + `"`; !strings.Contains(string(before.Body), uid) {
			t.Errorf("%s, want %s", before.Body, uid)
		}
		s.request("GET", next+"?client_type=ios", auth("bob")).problem(t, http.StatusForbidden, "not_registered")
		if n := len(fake.Users()); n != 1 {
			t.Errorf("%d users, want 1", n)
		}
		t.Setenv("ACCESS_TOKEN", "canary-alice")
		finds(t, runProbe(t, s.URL+path, "--bearer", "{env.ACCESS_TOKEN}"),
			"vary warning: Authorization", "options warning: status 501", "put warning: status 501",
			"fetch_metadata warning: ", "origin warning: ", "cache warning: caches nothing")
		finds(t, runProbe(t, s.URL+next, "--bearer", "{env.ACCESS_TOKEN}", "--delete"))
	})

	back := changed(migrated, "huma_token {", "", "huma_token /private/huma-token-next {")
	for _, c := range []struct {
		name, site string
		migrated   int // of ten requests
	}{
		{"all users", migrated, 10},
		{"back from all users", back, 0},
		{"a part", part, 1},
		{"half", changed(part, weighted+"9 1", weighted, "5 5"), 5},
		{"all of a part", changed(part, weighted+"9 1", weighted, "0 1"), 10},
		{"back from a part", changed(part, weighted+"9 1", "", weighted+"1 0"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, s.load(c.site))
			n := 0
			for range 10 {
				r := s.request("GET", path+"?client_type=ios", auth("alice"))
				for r.StatusCode == http.StatusBadGateway && time.Since(s.loaded) < time.Second {
					// Caddy may close a connection of reverse_proxy to its own listener of
					// the previous config; see site.requestURL.
					time.Sleep(20 * time.Millisecond)
					r = s.request("GET", path+"?client_type=ios", auth("alice"))
				}
				if r.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", r.StatusCode, r.Body)
				}
				if isNew(r) {
					n++
				}
			}
			if n != c.migrated {
				t.Errorf("%d tokens of huma_token, want %d", n, c.migrated)
			}
			want := http.StatusNoContent
			if c.site == back {
				want = http.StatusNotImplemented
			}
			if r := s.request("DELETE", path, auth("alice")); r.StatusCode != want {
				t.Errorf("DELETE: status %d, want %d", r.StatusCode, want)
			}
		})
	}
}
