package sandbox

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

// serveHuman serves the sandbox in Caddy with additional JSON options.
func serveHuman(t *testing.T, options string) *sandboxtest.Client {
	t.Helper()
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox"` + options + `}`)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUsersArePerClient(t *testing.T) {
	c := serveHuman(t, `,"prefix":"/x","lifetimes_as_strings":true,"human_api":{"clients":{"a":"1","b":"2"},"session_lifetime":"30s","id_lifetime":"90s"}`)
	token := func(id, secret, tokenType string) sandboxtest.Response {
		r := c.TokenRequest(strings.NewReplacer("hapi1", id, "sandbox-secret", secret).Replace(sandboxtest.TokenBody(tokenType, "u-1")))
		r.URL.Path = "/x" + sandboxtest.Connect
		return c.Send(r)
	}
	a, b := token("a", "1", "session"), token("b", "2", "session")
	if a.Member(t, "human_id") == b.Member(t, "human_id") || a.Member(t, "expires_in") != "30" {
		t.Errorf("%s and %s", a.Text, b.Text)
	}
	sandboxtest.WantCode(t, token("a", "2", "session"), 401, "INVALID_CLIENT_ID_OR_SECRET")
	sandboxtest.WantCode(t, token("hapi1", "sandbox-secret", "session"), 403, "INVALID_CLIENT_ID")

	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1"}`), 409, huma.CodeInvalidRequest)
	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1","client_id":"b"}`), 200, 0)
	sandboxtest.Want(t, token("a", "1", "session"), 200, 0)
	if id := token("b", "2", "id"); id.Member(t, "id_token_expires_in") != "90" {
		t.Errorf("id: %s", id.Text)
	}
	if counts := sandboxtest.Compact(t, sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls")).ByClientUser); counts != `{"a":{"u-1":{"session":3}},"b":{"u-1":{"id":1,"session":1}},"hapi1":{"u-1":{"session":1}}}` {
		t.Errorf("counts: %s", counts)
	}
}

func TestHumanUsersOfServer(t *testing.T) {
	fake, c := start(t, Config{HumanAPI: HumanAPI{SessionLifetime: caddy.Duration(time.Minute)}})
	u := fake.AddHumanUser("hapi1", "u-1")
	if existing := fake.AddHumanUser("hapi1", "u-1"); existing != u {
		t.Errorf("%+v and %+v", u, existing)
	}
	if got := c.Token(sandboxtest.TokenBody("session", "u-1")); got.Member(t, "human_id") != u.HumanID || got.Member(t, "expires_in") != 60.0 {
		t.Errorf("session: %s", got.Text)
	}
	if _, err := fake.Connect(Connection{ClientUserID: "u-2"}); err == nil {
		t.Error("no error for an unknown user")
	}
	if now, err := fake.Connect(Connection{ClientUserID: "u-1", IDAllowed: new(false)}); err != nil || !now.Connected || now.IDAllowed {
		t.Errorf("%v, %+v", err, now)
	}
	if users := fake.HumanUsers(); len(users) != 1 || !users[0].Connected {
		t.Errorf("users: %+v", users)
	}
}
