package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestUserinfoIsCalledEachTime checks that a user who has signed out gets no token, although
// it is still cached.
func TestUserinfoIsCalledEachTime(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	d := &testSite{serve(t, userinfoSite(p, "", huma.credentials()+"client_type ios\ncache 1m")), huma}
	ada, again := p.signIn("ada@x.example"), p.signIn("ada@x.example")
	token := func(session string) string {
		t.Helper()
		return d.request("GET", path, cookie(session)).tokens(t).AuthToken
	}
	first := token(ada)
	for range 5 {
		if token(ada) != first {
			t.Error("the token was not cached")
		}
	}
	if n := len(p.requests()); n != 6 {
		t.Errorf("the application was called %d times, want 6", n)
	}
	p.signOut(ada)
	d.wantRejection(t, 401, "identity_missing", path, cookie(ada))
	if a := d.request("DELETE", path, cookie(ada)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("DELETE after sign-out: status %d", a.StatusCode)
	}
	p.setHandler(respondText(500, ""))
	d.wantRejection(t, 503, "identity_unavailable", path, cookie(again)) // a failure is not replaced by an earlier response
	p.setHandler(nil)
	if token(again) != first || huma.calls("signin") != 1 {
		t.Error("the token was not cached for the user's other session")
	}
	if a := d.request("DELETE", path, cookie(again)); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: status %d", a.StatusCode)
	}
	if token(again) == first {
		t.Error("the token was not evicted")
	}
	d.noUserDataInLog(t)
}

// TestUserinfoOfManyUsers checks that 100 concurrent users, each with a session, get
// their own tokens, from Huma and from the cache.
func TestUserinfoOfManyUsers(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	s := serve(t, userinfoSite(p, "", huma.credentials()+"client_type ios\ncache 1m"))
	const users = 100
	email := func(i int) string { return fmt.Sprintf("u%d@x.example", i) }
	var sign []func(*http.Request)
	for i := range users {
		if session := p.signIn(email(i)); i%2 == 0 {
			sign = append(sign, cookie(session))
		} else {
			sign = append(sign, bearer(session))
		}
	}
	for round := range 3 {
		responses := s.concurrently(iosPath, users, func(i int) []func(*http.Request) { return []func(*http.Request){sign[i]} })
		allOK(t, responses)
		accounts := make(map[string]string)
		for _, u := range huma.Users() {
			accounts[u.Email] = u.UID
		}
		for i, a := range responses {
			if uid := a.tokens(t).UID; uid != accounts[email(i)] {
				t.Errorf("round %d: %s has the token of user %s, want %s", round, email(i), uid, accounts[email(i)])
			}
		}
	}
	if n := huma.calls("signup"); n != users || len(huma.Users()) != users {
		t.Errorf("%d sign-ups of %d users", n, len(huma.Users()))
	}
	s.notLogged(t, ".example", "Zo", "CANARY")
}

// TestUserinfoCanceledRequest checks that a canceled request is not reported as an error of
// the application.
func TestUserinfoCanceledRequest(t *testing.T) {
	for name, options := range map[string]string{"problem": "HUMA", "caddy": "HUMA\nerrors caddy"} {
		t.Run(name, func(t *testing.T) {
			p := newBackend(t)
			d := open(t, strings.Replace(userinfoSite(p, "timeout 30s", options), "SITE {", "SITE {\nlog", 1))
			w := p.blockResponses()
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() {
				_, err := d.tryRequest(ctx, "GET", path, cookie("CANARY"))
				gone <- err
			}()
			waitFor(t, "the application is called", w.started)
			cancel()
			if err := <-gone; err == nil {
				t.Error("the request was not canceled")
			}
			waitFor(t, "the application is not waited for any more", w.canceled)
			eventually(t, 5*time.Second, "the request is in the access log", func() bool { return strings.Contains(d.log(), `"status":499`) })
			d.wantNoCalls(t, 0)
			if warnings := d.warnings(""); len(warnings) != 0 {
				t.Errorf("warnings: %q", warnings)
			}
			close(w.release)
			d.wantTokenOf(t, "ada@x.example", path, cookie("CANARY"))
			d.noUserDataInLog(t)
		})
	}
}

// TestUserinfoReload checks that a running userinfo request is completed after a reload,
// also if the new config has no userinfo.
func TestUserinfoReload(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	text := fill(huma, userinfoSite(p, "", "HUMA"))
	d := &testSite{serve(t, text), huma}
	for name, next := range map[string]string{
		"the same":        text + "\n# again",
		"another timeout": strings.Replace(text, "email user.email", "email user.email\ntimeout 4s", 1),
		"another path":    strings.Replace(text, "email user.email", "email data.0.email", 1),
		"none":            "SITE {\nrespond ok\n}",
	} {
		t.Run(name, func(t *testing.T) {
			d.move()
			if err := d.load(text); err != nil {
				t.Fatal(err)
			}
			w := p.blockResponses()
			before := len(huma.Calls().Calls)
			responses := make(chan *response, 1)
			go func() {
				defer close(responses)
				if a, err := d.tryRequest(context.Background(), "GET", path, cookie("CANARY")); err == nil {
					responses <- a
				} else {
					t.Errorf("the request was lost: %v", err)
				}
			}()
			waitFor(t, "the application is called", w.started)
			if err := d.load(next); err != nil {
				t.Fatal(err)
			}
			close(w.release)
			if a := <-responses; a != nil {
				d.checkTokenOf(t, a, "ada@x.example", before)
			}
		})
	}
	d.noUserDataInLog(t)
}

// TestUserinfoWithinTheTimeout checks that a slow application is canceled at the timeout
// of the request, and is reported as the reason.
func TestUserinfoWithinTheTimeout(t *testing.T) {
	p := newBackend(t)
	session := p.signIn("ada@x.example")
	p.setHandler(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
	})
	d := open(t, userinfoSite(p, "", "HUMA\ntimeout 300ms"))
	start := time.Now()
	d.wantRejection(t, 503, "identity_unavailable", path, cookie(session))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the request took %s", took)
	}
}
