package caddymodule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestConnect_TheLastFiveMinutes checks that a token is not served from the cache in its
// last five minutes, because a page uses its token for a while.
func TestConnect_TheLastFiveMinutes(t *testing.T) {
	life := caddy.Duration(302 * time.Second)
	d := openConnect(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{SessionLifetime: life, IDLifetime: life}, LifetimesAsStrings: true}, "")
	d.addConnectedUser(t, "connected")
	start, cached := time.Now(), map[string]connectToken{"new": d.get(t, "new"), "connected": d.get(t, "connected")}
	d.wantCalls(t, "session", "session", "id")
	for round := 0; len(cached) > 0; round++ {
		for user, before := range cached {
			v := d.get(t, user)
			switch {
			case v.Token != before.Token:
				if round == 0 && time.Since(start) < time.Second {
					t.Errorf("%s: the token was not cached", user)
				}
				delete(cached, user)
			// A second may end between the cache lookup and the response.
			case *v.ExpiresIn > *before.ExpiresIn || *v.ExpiresIn < 299:
				t.Errorf("%s: lifetime %d, and previously %d", user, *v.ExpiresIn, *before.ExpiresIn)
				delete(cached, user)
			default:
				cached[user] = v
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	var renewed []string
	for _, c := range d.fake.Calls().Calls[d.seen:] {
		renewed = append(renewed, c.Op)
	}
	slices.Sort(renewed)
	if !slices.Equal(renewed, []string{"id", "session"}) {
		t.Errorf("calls %v", renewed)
	}
}

// TestConnect_AShorterTTL checks that a ttl that is shorter than the token's lifetime
// replaces it, and that a longer one does not.
func TestConnect_AShorterTTL(t *testing.T) {
	const ttl = 500 * time.Millisecond
	d := openConnect(t, sandbox.Config{}, "cache 500ms")
	start := time.Now()
	first := d.get(t, "u-1")
	if next := d.waitNewToken(t, "u-1"); next.Token == first.Token || time.Since(start) < ttl {
		t.Errorf("new token: %v, after %s", next.Token != first.Token, time.Since(start))
	}
	d.wantCalls(t, "session", "session")

	longer := openConnect(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{SessionLifetime: caddy.Duration(301 * time.Second)}}, "cache 48h")
	longer.get(t, "u-1")
	longer.waitNewToken(t, "u-1")
	longer.wantCalls(t, "session", "session")
}

// TestConnect_EachTypeHasItsOwnLifetime checks that the member with the lifetime has a
// different name for each type, and that the other type's member is ignored.
func TestConnect_EachTypeHasItsOwnLifetime(t *testing.T) {
	for _, c := range []struct {
		name        string
		session, id string
		least, most int64
	}{
		{"its own", `"expires_in":3600`, `"id_token_expires_in":3600`, 3590, 3600},
		{"the other's", `"id_token_expires_in":3600`, `"expires_in":3600`, 0, 0},
		{"both", `"expires_in":3600,"id_token_expires_in":7200`, `"id_token_expires_in":3600,"expires_in":7200`, 3590, 3600},
		{"none", `"x":1`, `"x":1`, 0, 0},
		{"for ever", `"expires_in":1e18`, `"id_token_expires_in":1e18`, 86390, 86400},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openConnect(t, sandbox.Config{}, "")
			d.addConnectedUser(t, "connected")
			d.setFaults(t,
				sandbox.Fault{Op: "id", Status: 200, Body: `{"id_token":"i",` + c.id + `}`},
				sandbox.Fault{Op: "session", Times: 1, Status: 403},
				sandbox.Fault{Op: "session", Status: 200, Body: `{"session_token":"s",` + c.session + `}`})
			d.checkLifetime(t, "connected", c.least, c.most, []string{"session", "id"})
			d.checkLifetime(t, "new", c.least, c.most, []string{"session"})
		})
	}
}

// checkLifetime checks the lifetime of a token, and that a token is cached only if it has
// one.
func (d *connectSite) checkLifetime(t testing.TB, user string, least, most int64, calls []string) {
	t.Helper()
	v := d.get(t, user)
	if *v.ExpiresIn < least || *v.ExpiresIn > most {
		t.Errorf("%s: lifetime %d, want %d to %d", v.Type, *v.ExpiresIn, least, most)
	}
	d.wantCalls(t, calls...)
	d.get(t, user)
	if most > 0 {
		d.wantCalls(t)
	} else {
		d.wantCalls(t, calls[len(calls)-1])
	}
}
