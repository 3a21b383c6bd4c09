package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestHumanCallsInTheLog(t *testing.T) {
	c := serveHuman(t, "")
	session := c.token(tokenBody("session", "u-1", `"client_user_email":"Alice@example.com","extra_scopes":["a","b"]`))
	want(t, c.connect(`{"client_user_id":"u-1"}`), 200, 0)
	refused := c.token(tokenBody("session", "u-1"))
	id := c.token(tokenBody("id", "u-1"))
	wrong := c.token(tokenBody("access", "u-1"))
	want(t, c.token(`{"client_secret":"sandbox-secret"`), 400, 0)
	want(t, c.token(tokenBody("session", strings.Repeat("u", maxLogged+1))), 200, 0)
	want(t, c.post(signInPath, aliceSignIn), 403, codeUserUnknown)

	raw := c.get("/_sandbox/calls").text
	for _, secret := range []any{"sandbox-secret", session.member(t, "session_token"), id.member(t, "id_token"), id.member(t, "id_refresh_token")} {
		if strings.Contains(raw, secret.(string)) {
			t.Errorf("%s is in the log", secret)
		}
	}
	log := decode[CallLog](t, reply{text: raw})
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
	for i, got := range []reply{session, refused, id, wrong} {
		if log.Calls[i].RequestID != got.header.Get("X-Humanapi-Request-Id") {
			t.Errorf("call %d: request id %q", i, log.Calls[i].RequestID)
		}
	}
	if !strings.HasPrefix(log.Calls[1].Error, wordSessionNotAllowed) || log.Calls[6].RequestID != "" {
		t.Errorf("calls: %+v", log.Calls)
	}
	const byUser, byClientUser = `{"alice@example.com":{"signin":1}}`, `{"hapi1":{"u-1":{"connect":1,"id":1,"session":2}}}`
	if compact(t, log.ByUser) != byUser || compact(t, log.ByClientUser) != byClientUser || compact(t, log.ByOp) != `{"connect":2,"id":1,"session":3,"signin":1}` {
		t.Errorf("counters: %v %v %v", log.ByUser, log.ByClientUser, log.ByOp)
	}
	last := decode[CallLog](t, c.get("/_sandbox/calls?limit=1"))
	if compact(t, last.ByUser) != byUser || compact(t, last.ByClientUser) != `{}` {
		t.Errorf("limited: %v %v", last.ByUser, last.ByClientUser)
	}
}

func TestHumanUsersAndReset(t *testing.T) {
	c := serveHuman(t, `,"users":["root@example.com"]`)
	for _, user := range []string{"u-1", "u-2"} {
		want(t, c.token(tokenBody("session", user)), 200, 0)
	}
	want(t, c.connect(`{"client_user_id":"u-2","client_id":"hapi1"}`), 200, 0)
	type lists struct {
		Users      []User
		HumanUsers []HumanUser
	}
	got := decode[lists](t, c.get("/_sandbox/users"))
	if len(got.Users) != 1 || len(got.HumanUsers) != 2 {
		t.Fatalf("users: %+v", got)
	}
	one, two := got.HumanUsers[0], got.HumanUsers[1]
	if one.ClientUserID != "u-1" || one.ClientID != "hapi1" || one.Connected || !one.IDAllowed || one.CreatedAt.IsZero() || len(one.HumanID) != 24 || !two.Connected {
		t.Errorf("users: %+v", got.HumanUsers)
	}
	if last := decode[lists](t, c.get("/_sandbox/users?limit=1")).HumanUsers; len(last) != 1 || last[0].ClientUserID != "u-2" {
		t.Errorf("limited: %+v", last)
	}
	want(t, c.must(c.request(http.MethodPut, "/_sandbox/faults", `[{"op":"id","status":500}]`)), 200, 0)

	if reset := c.must(c.request(http.MethodPost, "/_sandbox/reset", "")); reset.status != 204 {
		t.Fatalf("reset: %+v", reset)
	}
	got = decode[lists](t, c.get("/_sandbox/users"))
	if len(got.Users) != 1 || len(got.HumanUsers) != 0 {
		t.Errorf("users: %+v", got)
	}
	if raw := strings.TrimSpace(c.get("/_sandbox/users").text); !strings.HasSuffix(raw, `]}`) || !strings.Contains(raw, `"humanUsers":[]`) {
		t.Errorf("users: %s", raw)
	}
	if log := decode[CallLog](t, c.get("/_sandbox/calls")); len(log.Calls) != 0 || len(log.ByClientUser) != 0 {
		t.Errorf("log: %+v", log)
	}
	wantWord(t, c.token(tokenBody("id", "u-2")), 403, wordUserUnknown)
	again := c.token(tokenBody("session", "u-2"))
	if again.status != 200 || again.member(t, "human_id") == two.HumanID {
		t.Errorf("session: %s", again.text)
	}
}

func TestConnectRefusals(t *testing.T) {
	c := serveHuman(t, "")
	want(t, c.token(tokenBody("session", "u-1")), 200, 0)
	for _, test := range []struct {
		body, problem string
		status        int
	}{
		{``, "not a JSON object", 400},
		{`null`, "not a JSON object", 400},
		{`["u-1"]`, "not a JSON object", 400},
		{`{"client_user_id":"u-1"} {}`, "something follows", 400},
		{`{"client_user_id":"u-1","client_user_id":"u-2"}`, "twice", 400},
		{`{}`, "client_user_id", 400},
		{`{"client_user_id":""}`, "client_user_id", 400},
		{`{"client_user_id":1}`, "client_user_id", 400},
		{`{"client_user_id":"u-1","connected":"no"}`, "connected", 400},
		{`{"client_user_id":"u-1","connect":false}`, `unknown field "connect"`, 400},
		{`{"client_user_id":"` + strings.Repeat("u", maxControlBody) + `"}`, "longer than", 400},
		{`{"client_user_id":"u-2"}`, "no such user", 404},
		{`{"client_user_id":"U-1"}`, "no such user", 404},
		{`{"client_user_id":"u-1","client_id":"hapi2"}`, "no such user", 404},
	} {
		got := c.connect(test.body)
		want(t, got, test.status, codeInvalidRequest)
		if message, _ := got.member(t, "message").(string); !strings.Contains(message, test.problem) {
			t.Errorf("%.60s: %s, want %s", test.body, message, test.problem)
		}
	}
	got := c.get("/_sandbox/connect")
	want(t, got, 405, codeInvalidRequest)
	if got.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	r := c.request(http.MethodPost, "/_sandbox/connect", `{"client_user_id":"u-1"}`)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	want(t, c.must(r), 403, codeForbiddenID)
	want(t, c.token(tokenBody("session", "u-1")), 200, 0)
}

func TestHumanStateSurvivesReloads(t *testing.T) {
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox"}`)); err != nil {
		t.Fatal(err)
	}
	first := c.token(tokenBody("session", "u-1"))
	want(t, first, 200, 0)
	want(t, c.token(tokenBody("session", "u-2")), 200, 0)
	want(t, c.connect(`{"client_user_id":"u-2"}`), 200, 0)
	c.faults(`[{"op":"id","code":"NOT_AUTHORIZED","times":2}]`)
	wantWord(t, c.token(tokenBody("id", "u-2")), 401, wordNotAuthorized)

	if err := load(route(`{"handler":"huma_sandbox","human_api":{"clients":{"hapi1":"rotated"},"session_lifetime":"30s"}}`)); err != nil {
		t.Fatal(err)
	}
	wantWord(t, c.token(tokenBody("session", "u-1")), 401, wordSecretWrong)
	ask := func(kind, user string) reply {
		return c.token(strings.Replace(tokenBody(kind, user), "sandbox-secret", "rotated", 1))
	}
	again := ask("session", "u-1")
	if again.status != 200 || again.member(t, "human_id") != first.member(t, "human_id") || again.member(t, "expires_in") != 30.0 {
		t.Errorf("session: %s", again.text)
	}
	wantWord(t, ask("session", "u-2"), 403, wordSessionNotAllowed)
	wantWord(t, ask("id", "u-2"), 401, wordNotAuthorized)
	want(t, ask("id", "u-2"), 200, 0)
	if counts := compact(t, decode[CallLog](t, c.get("/_sandbox/calls")).ByClientUser); counts != `{"hapi1":{"u-1":{"session":3},"u-2":{"id":3,"session":2}}}` {
		t.Errorf("counts: %s", counts)
	}

	// A config that is refused changes nothing.
	for _, wrong := range []string{`"clients":{}`, `"clients":{"hapi1":""}`, `"id_lifetime":"1ms"`, `"clients":{"hapi1":"{env.SANDBOX_TEST_UNSET}"}`, `"secrets":{}`} {
		if err := load(route(`{"handler":"huma_sandbox","human_api":{` + wrong + `}}`)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
	want(t, ask("id", "u-2"), 200, 0)
}
