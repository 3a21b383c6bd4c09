package humanapi_test

import (
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a sandbox and returns a client.
func start(t *testing.T, cfg sandbox.Config) *sandboxtest.Client {
	t.Helper()
	return sandboxtest.Serve(t, sandbox.New(cfg))
}

func TestSessionBeforeSourceIDAfter(t *testing.T) {
	c := start(t, sandbox.Config{})
	session := func() []string {
		return sandboxtest.WantTokens(t, c.Token(sandboxtest.TokenBody("session", "u-1", `"client_user_email":"alice@example.com"`)), []string{"session_token", "human_id"}, map[string]any{"expires_in": 3600.0})
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 403, "UNKNOWN_CLIENT_USER_ID")
	first, second := session(), session()
	if first[0] == second[0] || first[1] != second[1] {
		t.Errorf("sessions: %v and %v", first, second)
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 403, "UNKNOWN_CLIENT_USER_ID")

	connected := c.Connect(`{"client_user_id":"u-1"}`)
	if connected.Status != 200 || connected.Member(t, "connected") != true || connected.Member(t, "humanId") != first[1] {
		t.Fatalf("connect: %+v", connected)
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 403, "SESSION_TOKEN_GENERATION_NOT_ALLOWED")
	id := func() []string {
		return sandboxtest.WantTokens(t, c.Token(sandboxtest.TokenBody("id", "u-1")), []string{"id_token", "id_refresh_token"}, map[string]any{"token_type": "Bearer", "id_token_expires_in": 86400.0})
	}
	seen := map[string]bool{first[0]: true, second[0]: true}
	for _, token := range append(id(), id()...) {
		if seen[token] {
			t.Errorf("token issued twice: %s", token)
		}
		seen[token] = true
	}

	// Other users are not affected. After the disconnection, this user gets session tokens
	// again.
	sandboxtest.WantTokens(t, c.Token(sandboxtest.TokenBody("session", "U-1")), []string{"session_token", "human_id"}, map[string]any{"expires_in": 3600.0})
	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1","connected":false}`), 200, 0)
	if next := session(); next[1] != first[1] {
		t.Errorf("human_id %s, want %s", next[1], first[1])
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 403, "UNKNOWN_CLIENT_USER_ID")
}

func TestUserWithoutAnyToken(t *testing.T) {
	c := start(t, sandbox.Config{})
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 200, 0)
	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1","id_allowed":false}`), 200, 0)
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 403, "SESSION_TOKEN_GENERATION_NOT_ALLOWED")
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 403, "ID_TOKEN_GENERATION_NOT_ALLOWED")

	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1","connected":false}`), 200, 0)
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 200, 0)
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 403, "ID_TOKEN_GENERATION_NOT_ALLOWED")

	sandboxtest.Want(t, c.Connect(`{"client_user_id":"u-1","id_allowed":true}`), 200, 0)
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("id", "u-1")), 200, 0)
}

func TestRejectedTokenRequests(t *testing.T) {
	c := start(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{ExtraScopes: []string{"a:read", "b"}}})
	good := sandboxtest.TokenBody("session", "u-1")
	without := func(member string) string {
		return strings.Replace(good, `"`+member+`":`, `"x":`, 1)
	}
	for _, test := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"empty", ``, 400, ""},
		{"list", `[]`, 400, ""},
		{"two values", good + good, 400, ""},
		{"member twice", strings.Replace(good, "{", `{"type":"id",`, 1), 400, ""},
		{"too long", good + strings.Repeat(" ", service.MaxBody), 413, ""},
		{"unknown member", sandboxtest.TokenBody("session", "u-1", `"email":"alice@example.com"`), 400, ""},
		{"no client", `{"type":"session","client_user_id":"u-1","client_secret":"sandbox-secret"}`, 400, ""},
		{"other name for the secret", without("client_secret"), 400, ""},
		{"no user", `{"type":"session","client_id":"hapi1","client_secret":"sandbox-secret"}`, 400, ""},
		{"no secret", `{"type":"session","client_id":"hapi1","client_user_id":"u-1"}`, 400, ""},
		{"no type", `{"client_id":"hapi1","client_user_id":"u-1","client_secret":"sandbox-secret"}`, 400, ""},
		{"empty user", sandboxtest.TokenBody("session", ""), 400, ""},
		{"number for a user", strings.Replace(good, `"u-1"`, `1`, 1), 400, ""},
		{"type access", sandboxtest.TokenBody("access", "u-1"), 400, "INVALID_TOKEN_TYPE"},
		{"type Session", sandboxtest.TokenBody("Session", "u-1"), 400, "INVALID_TOKEN_TYPE"},
		{"empty type", sandboxtest.TokenBody("", "u-1"), 400, "INVALID_TOKEN_TYPE"},
		{"number for a type", strings.Replace(good, `"session"`, `1`, 1), 400, ""},
		{"email with id", sandboxtest.TokenBody("id", "u-1", `"client_user_email":"alice@example.com"`), 400, ""},
		{"empty email", sandboxtest.TokenBody("session", "u-1", `"client_user_email":""`), 400, ""},
		{"invalid email", sandboxtest.TokenBody("session", "u-1", `"client_user_email":"alice"`), 400, ""},
		{"scopes as text", sandboxtest.TokenBody("session", "u-1", `"extra_scopes":"b"`), 400, ""},
		{"scopes of two types", sandboxtest.TokenBody("session", "u-1", `"extra_scopes":["b",1]`), 400, ""},
		{"empty scope", sandboxtest.TokenBody("session", "u-1", `"extra_scopes":[""]`), 400, ""},
		{"another scope", sandboxtest.TokenBody("session", "u-1", `"extra_scopes":["b","c"]`), 400, ""},
		{"another client", strings.Replace(good, "hapi1", "hapi2", 1), 403, "INVALID_CLIENT_ID"},
		{"another secret", strings.Replace(good, "sandbox-secret", "sandbox-secret ", 1), 401, "INVALID_CLIENT_ID_OR_SECRET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sandboxtest.WantCode(t, (&sandboxtest.Client{T: t, URL: c.URL, HTTP: c.HTTP}).Token(test.body), test.status, test.code)
		})
	}
	for name, value := range map[string]string{"Content-Type": "text/plain", "Content-Encoding": "gzip"} {
		r := c.TokenRequest(good)
		r.Header.Set(name, value)
		sandboxtest.WantCode(t, c.Send(r), 415, "")
	}
	r := c.TokenRequest("")
	r.Method = http.MethodGet
	got := c.Send(r)
	sandboxtest.WantCode(t, got, 405, "")
	if got.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.Header.Get("Allow"))
	}
	if users := sandboxtest.Decode[struct{ HumanUsers []sandbox.HumanUser }](t, c.Get("/_sandbox/users")).HumanUsers; len(users) != 0 {
		t.Errorf("users: %+v", users)
	}
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", "Jürgen \u2603 / 1", `"extra_scopes":["b","a:read"],"client_user_email":"alice@example.com"`)), 200, 0)
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", "u-1", `"extra_scopes":[]`)), 200, 0)
}
