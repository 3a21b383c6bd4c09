package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

func TestHumanCallsInTheLog(t *testing.T) {
	c := serveHuman(t, "")
	session := c.Token(sandboxtest.TokenBody("session", "u-1", `"client_user_email":"Alice@example.com","extra_scopes":["a","b"]`))
	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1"}`), 200, 0)
	rejected := c.Token(sandboxtest.TokenBody("session", "u-1"))
	id := c.Token(sandboxtest.TokenBody("id", "u-1"))
	wrong := c.Token(sandboxtest.TokenBody("access", "u-1"))
	sandboxtest.Want(t, c.Token(`{"client_secret":"sandbox-secret"`), 400, 0)
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", strings.Repeat("u", 1024+1))), 200, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, huma.CodeUserUnknown)

	raw := c.Get("/_sandbox/calls").Text
	for _, secret := range []any{"sandbox-secret", session.Member(t, "session_token"), id.Member(t, "id_token"), id.Member(t, "id_refresh_token")} {
		if strings.Contains(raw, secret.(string)) {
			t.Errorf("%s is in the log", secret)
		}
	}
	log := sandboxtest.Decode[CallLog](t, sandboxtest.Response{Text: raw})
	var lines []string
	for _, call := range log.Calls {
		lines = append(lines, fmt.Sprintf("%d %s %s %s %s %v %d", call.Seq, call.Op, call.ClientID, call.ClientUserID, call.Email, call.ExtraScopes, call.Status))
	}
	wanted := []string{
		"1 session hapi1 u-1 Alice@example.com [a b] 200",
		"2 session hapi1 u-1  [] 403",
		"3 id hapi1 u-1  [] 200",
		"4 connect hapi1 u-1  [] 400",
		"5 connect    [] 400",
		"6 session hapi1   [] 200",
		"7 signin c1  alice@example.com [] 403",
	}
	if strings.Join(lines, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("calls:\n%s", strings.Join(lines, "\n"))
	}
	for i, got := range []sandboxtest.Response{session, rejected, id, wrong} {
		if log.Calls[i].RequestID != got.Header.Get("X-Humanapi-Request-Id") {
			t.Errorf("call %d: request id %q", i, log.Calls[i].RequestID)
		}
	}
	if !strings.HasPrefix(log.Calls[1].Error, "SESSION_TOKEN_GENERATION_NOT_ALLOWED") || log.Calls[6].RequestID != "" {
		t.Errorf("calls: %+v", log.Calls)
	}
	const byUser, byClientUser = `{"alice@example.com":{"signin":1}}`, `{"hapi1":{"u-1":{"connect":1,"id":1,"session":2}}}`
	if sandboxtest.Compact(t, log.ByUser) != byUser || sandboxtest.Compact(t, log.ByClientUser) != byClientUser || sandboxtest.Compact(t, log.ByOp) != `{"connect":2,"id":1,"session":3,"signin":1}` {
		t.Errorf("counters: %v %v %v", log.ByUser, log.ByClientUser, log.ByOp)
	}
	last := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls?limit=1"))
	if sandboxtest.Compact(t, last.ByUser) != byUser || sandboxtest.Compact(t, last.ByClientUser) != `{}` {
		t.Errorf("limited: %v %v", last.ByUser, last.ByClientUser)
	}
}

func TestHumanUsersAndReset(t *testing.T) {
	c := serveHuman(t, `,"users":["root@example.com"]`)
	for _, user := range []string{"u-1", "u-2"} {
		sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", user)), 200, 0)
	}
	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-2","client_id":"hapi1"}`), 200, 0)
	type lists struct {
		Users      []User
		HumanUsers []HumanUser
	}
	got := sandboxtest.Decode[lists](t, c.Get("/_sandbox/users"))
	if len(got.Users) != 1 || len(got.HumanUsers) != 2 {
		t.Fatalf("users: %+v", got)
	}
	one, two := got.HumanUsers[0], got.HumanUsers[1]
	if one.ClientUserID != "u-1" || one.ClientID != "hapi1" || one.Connected || !one.IDAllowed || one.CreatedAt.IsZero() || len(one.HumanID) != 24 || !two.Connected {
		t.Errorf("users: %+v", got.HumanUsers)
	}
	if last := sandboxtest.Decode[lists](t, c.Get("/_sandbox/users?limit=1")).HumanUsers; len(last) != 1 || last[0].ClientUserID != "u-2" {
		t.Errorf("limited: %+v", last)
	}
	sandboxtest.Want(t, c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"op":"id","status":500}]`)), 200, 0)

	if reset := c.Send(c.Request(http.MethodPost, "/_sandbox/reset", "")); reset.Status != 204 {
		t.Fatalf("reset: %+v", reset)
	}
	got = sandboxtest.Decode[lists](t, c.Get("/_sandbox/users"))
	if len(got.Users) != 1 || len(got.HumanUsers) != 0 {
		t.Errorf("users: %+v", got)
	}
	if raw := strings.TrimSpace(c.Get("/_sandbox/users").Text); !strings.HasSuffix(raw, `]}`) || !strings.Contains(raw, `"humanUsers":[]`) {
		t.Errorf("users: %s", raw)
	}
	if log := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls")); len(log.Calls) != 0 || len(log.ByClientUser) != 0 {
		t.Errorf("log: %+v", log)
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-2")), 403, "UNKNOWN_CLIENT_USER_ID")
	next := c.Token(sandboxtest.TokenBody("session", "u-2"))
	if next.Status != 200 || next.Member(t, "human_id") == two.HumanID {
		t.Errorf("session: %s", next.Text)
	}
}
