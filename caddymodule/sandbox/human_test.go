package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const connectPath = "/v1/connect/token"

// tokenBody is what a client sends; more are further members.
func tokenBody(kind, user string, more ...string) string {
	members := append([]string{
		`"client_id":"hapi1"`, `"client_secret":"sandbox-secret"`,
		fmt.Sprintf(`"type":%q,"client_user_id":%q`, kind, user),
	}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

// token asks for a token as the guide does: no header but the content type.
func (c *client) token(body string) reply {
	c.t.Helper()
	return c.must(c.tokenRequest(body))
}

func (c *client) tokenRequest(body string) *http.Request {
	c.t.Helper()
	r := c.request(http.MethodPost, connectPath, body)
	r.Header = http.Header{"Content-Type": {"application/json"}}
	return r
}

func (c *client) connect(body string) reply {
	c.t.Helper()
	return c.must(c.request(http.MethodPost, "/_sandbox/connect", body))
}

// serveHuman serves the sandbox in Caddy with the options given.
func serveHuman(t *testing.T, options string) *client {
	t.Helper()
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox"` + options + `}`)); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantWord fails unless a reply refuses with a code, or with none if that is
// empty, and bears a number.
func wantWord(t *testing.T, got reply, status int, word string) {
	t.Helper()
	if got.status != status {
		t.Fatalf("status %d, want %d: %s", got.status, status, got.text)
	}
	if code, _ := got.member(t, "errorCode").(string); code != word {
		t.Errorf("errorCode %q, want %q", code, word)
	}
	message, _ := got.member(t, "message").(string)
	if message == "" || strings.Contains(message, "_ID") || strings.Contains(message, "NOT_") {
		t.Errorf("message %q", message)
	}
	wantNumber(t, got)
}

func wantNumber(t *testing.T, got reply) {
	t.Helper()
	if numbers := got.header.Values("x-humanapi-request-id"); len(numbers) != 1 || len(numbers[0]) < 16 {
		t.Errorf("request id: %q", numbers)
	}
}

// wantTokens fails unless a 200 has exactly these members, and returns the
// ones that are random.
func wantTokens(t *testing.T, got reply, random []string, fixed map[string]any) []string {
	t.Helper()
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d, %v: %s", got.status, got.header, got.text)
	}
	wantNumber(t, got)
	for name, value := range fixed {
		if got.member(t, name) != value {
			t.Errorf("%s: %v, want %v", name, got.member(t, name), value)
		}
	}
	var tokens []string
	for _, name := range random {
		token, _ := got.member(t, name).(string)
		if len(token) < 20 || strings.Contains(token, ".") {
			t.Errorf("%s is %q", name, token)
		}
		tokens = append(tokens, token)
	}
	if n := strings.Count(got.text, `":`); n != len(random)+len(fixed) {
		t.Errorf("%d members: %s", n, got.text)
	}
	return tokens
}

func TestSessionUntilASourceThenID(t *testing.T) {
	c := serveHuman(t, "")
	session := func() []string {
		return wantTokens(t, c.token(tokenBody("session", "u-1", `"client_user_email":"alice@example.com"`)), []string{"session_token", "human_id"}, map[string]any{"expires_in": 3600.0})
	}
	wantWord(t, c.token(tokenBody("id", "u-1")), 403, wordUserUnknown)
	first, second := session(), session()
	if first[0] == second[0] || first[1] != second[1] {
		t.Errorf("sessions: %v and %v", first, second)
	}
	wantWord(t, c.token(tokenBody("id", "u-1")), 403, wordUserUnknown)

	connected := c.connect(`{"client_user_id":"u-1"}`)
	if connected.status != 200 || connected.member(t, "connected") != true || connected.member(t, "humanId") != first[1] {
		t.Fatalf("connect: %+v", connected)
	}
	wantWord(t, c.token(tokenBody("session", "u-1")), 403, wordSessionNotAllowed)
	id := func() []string {
		return wantTokens(t, c.token(tokenBody("id", "u-1")), []string{"id_token", "id_refresh_token"}, map[string]any{"token_type": "Bearer", "id_token_expires_in": 86400.0})
	}
	seen := map[string]bool{first[0]: true, second[0]: true}
	for _, token := range append(id(), id()...) {
		if seen[token] {
			t.Errorf("twice: %s", token)
		}
		seen[token] = true
	}

	// Everybody else is as before, and so is this user after the way back.
	wantTokens(t, c.token(tokenBody("session", "U-1")), []string{"session_token", "human_id"}, map[string]any{"expires_in": 3600.0})
	want(t, c.connect(`{"client_user_id":"u-1","connected":false}`), 200, 0)
	if again := session(); again[1] != first[1] {
		t.Errorf("human_id %s, want %s", again[1], first[1])
	}
	wantWord(t, c.token(tokenBody("id", "u-1")), 403, wordUserUnknown)
}

func TestUserWhoGetsNeither(t *testing.T) {
	c := serveHuman(t, "")
	want(t, c.token(tokenBody("session", "u-1")), 200, 0)
	want(t, c.connect(`{"client_user_id":"u-1","id_allowed":false}`), 200, 0)
	wantWord(t, c.token(tokenBody("session", "u-1")), 403, wordSessionNotAllowed)
	wantWord(t, c.token(tokenBody("id", "u-1")), 403, wordIDNotAllowed)

	want(t, c.connect(`{"client_user_id":"u-1","connected":false}`), 200, 0)
	want(t, c.token(tokenBody("session", "u-1")), 200, 0)
	wantWord(t, c.token(tokenBody("id", "u-1")), 403, wordIDNotAllowed)

	want(t, c.connect(`{"client_user_id":"u-1","id_allowed":true}`), 200, 0)
	want(t, c.token(tokenBody("id", "u-1")), 200, 0)
}

func TestRefusedTokenRequests(t *testing.T) {
	c := serveHuman(t, `,"human_api":{"clients":{"hapi1":"sandbox-secret"},"extra_scopes":["a:read","b"]}`)
	good := tokenBody("session", "u-1")
	without := func(member string) string {
		return strings.Replace(good, `"`+member+`":`, `"x":`, 1)
	}
	for _, test := range []struct {
		name, body string
		status     int
		word       string
	}{
		{"empty", ``, 400, ""},
		{"list", `[]`, 400, ""},
		{"two values", good + good, 400, ""},
		{"member twice", strings.Replace(good, "{", `{"type":"id",`, 1), 400, ""},
		{"too long", good + strings.Repeat(" ", maxBody), 413, ""},
		{"unknown member", tokenBody("session", "u-1", `"email":"alice@example.com"`), 400, ""},
		{"no client", `{"type":"session","client_user_id":"u-1","client_secret":"sandbox-secret"}`, 400, ""},
		{"other name for the secret", without("client_secret"), 400, ""},
		{"no user", `{"type":"session","client_id":"hapi1","client_secret":"sandbox-secret"}`, 400, ""},
		{"no secret", `{"type":"session","client_id":"hapi1","client_user_id":"u-1"}`, 400, ""},
		{"no type", `{"client_id":"hapi1","client_user_id":"u-1","client_secret":"sandbox-secret"}`, 400, ""},
		{"empty user", tokenBody("session", ""), 400, ""},
		{"number for a user", strings.Replace(good, `"u-1"`, `1`, 1), 400, ""},
		{"type access", tokenBody("access", "u-1"), 400, wordTypeWrong},
		{"type Session", tokenBody("Session", "u-1"), 400, wordTypeWrong},
		{"empty type", tokenBody("", "u-1"), 400, wordTypeWrong},
		{"number for a type", strings.Replace(good, `"session"`, `1`, 1), 400, ""},
		{"e-mail with id", tokenBody("id", "u-1", `"client_user_email":"alice@example.com"`), 400, ""},
		{"empty e-mail", tokenBody("session", "u-1", `"client_user_email":""`), 400, ""},
		{"no e-mail address", tokenBody("session", "u-1", `"client_user_email":"alice"`), 400, ""},
		{"scopes as text", tokenBody("session", "u-1", `"extra_scopes":"b"`), 400, ""},
		{"scopes of two types", tokenBody("session", "u-1", `"extra_scopes":["b",1]`), 400, ""},
		{"empty scope", tokenBody("session", "u-1", `"extra_scopes":[""]`), 400, ""},
		{"another scope", tokenBody("session", "u-1", `"extra_scopes":["b","c"]`), 400, ""},
		{"another client", strings.Replace(good, "hapi1", "hapi2", 1), 403, wordClientUnknown},
		{"another secret", strings.Replace(good, "sandbox-secret", "sandbox-secret ", 1), 401, wordSecretWrong},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantWord(t, (&client{t: t, url: c.url, http: c.http}).token(test.body), test.status, test.word)
		})
	}
	for name, value := range map[string]string{"Content-Type": "text/plain", "Content-Encoding": "gzip"} {
		r := c.tokenRequest(good)
		r.Header.Set(name, value)
		wantWord(t, c.must(r), 415, "")
	}
	r := c.tokenRequest("")
	r.Method = http.MethodGet
	got := c.must(r)
	wantWord(t, got, 405, "")
	if got.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	if users := decode[struct{ HumanUsers []HumanUser }](t, c.get("/_sandbox/users")).HumanUsers; len(users) != 0 {
		t.Errorf("users: %+v", users)
	}
	want(t, c.token(tokenBody("session", "Jürgen \u2603 / 1", `"extra_scopes":["b","a:read"],"client_user_email":"alice@example.com"`)), 200, 0)
	want(t, c.token(tokenBody("session", "u-1", `"extra_scopes":[]`)), 200, 0)
}

func TestClientsHaveUsersOfTheirOwn(t *testing.T) {
	c := serveHuman(t, `,"prefix":"/x","lifetimes_as_strings":true,"human_api":{"clients":{"a":"1","b":"2"},"session_lifetime":"30s","id_lifetime":"90s"}`)
	ask := func(id, secret, kind string) reply {
		r := c.tokenRequest(strings.NewReplacer("hapi1", id, "sandbox-secret", secret).Replace(tokenBody(kind, "u-1")))
		r.URL.Path = "/x" + connectPath
		return c.must(r)
	}
	a, b := ask("a", "1", "session"), ask("b", "2", "session")
	if a.member(t, "human_id") == b.member(t, "human_id") || a.member(t, "expires_in") != "30" {
		t.Errorf("%s and %s", a.text, b.text)
	}
	wantWord(t, ask("a", "2", "session"), 401, wordSecretWrong)
	wantWord(t, ask("hapi1", "sandbox-secret", "session"), 403, wordClientUnknown)

	want(t, c.connect(`{"client_user_id":"u-1"}`), 409, codeInvalidRequest)
	want(t, c.connect(`{"client_user_id":"u-1","client_id":"b"}`), 200, 0)
	want(t, ask("a", "1", "session"), 200, 0)
	if id := ask("b", "2", "id"); id.member(t, "id_token_expires_in") != "90" {
		t.Errorf("id: %s", id.text)
	}
	if counts := compact(t, decode[CallLog](t, c.get("/_sandbox/calls")).ByClientUser); counts != `{"a":{"u-1":{"session":3}},"b":{"u-1":{"id":1,"session":1}},"hapi1":{"u-1":{"session":1}}}` {
		t.Errorf("counts: %s", counts)
	}
}

// Two first sessions at once, and many: one user, and everybody gets a token.
func TestFirstSessionsAtOnceMakeOneUser(t *testing.T) {
	c := serveHuman(t, "")
	// Nothing is answered before all have arrived.
	want(t, c.must(c.request(http.MethodPut, "/_sandbox/faults", `[{"op":"session","delay":"100ms"}]`)), 200, 0)
	const callers = 50
	var wg sync.WaitGroup
	var mu sync.Mutex
	tokens, ids := make(map[any]bool), make(map[any]bool)
	for range callers {
		wg.Go(func() {
			got, err := c.do(c.tokenRequest(tokenBody("session", "u-1")))
			if err != nil || got.status != 200 {
				t.Errorf("%v, %+v", err, got)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			tokens[got.member(t, "session_token")] = true
			ids[got.member(t, "human_id")] = true
		})
	}
	wg.Wait()
	users := decode[struct{ HumanUsers []HumanUser }](t, c.get("/_sandbox/users")).HumanUsers
	if len(tokens) != callers || len(ids) != 1 || len(users) != 1 || !ids[users[0].HumanID] {
		t.Errorf("%d tokens, %d human ids, users %+v", len(tokens), len(ids), users)
	}
	log := decode[CallLog](t, c.get("/_sandbox/calls"))
	if log.ByOp[OpSession] != callers || log.MaxInFlight < 2 || log.InFlight != 0 {
		t.Errorf("log: %v, %d most in flight, %d now", log.ByOp, log.MaxInFlight, log.InFlight)
	}
}

func TestHumanServer(t *testing.T) {
	fake, c := start(t, Config{HumanAPI: HumanAPI{SessionLifetime: caddy.Duration(time.Minute)}})
	u := fake.AddHumanUser("hapi1", "u-1")
	if again := fake.AddHumanUser("hapi1", "u-1"); again != u {
		t.Errorf("%+v and %+v", u, again)
	}
	if got := c.token(tokenBody("session", "u-1")); got.member(t, "human_id") != u.HumanID || got.member(t, "expires_in") != 60.0 {
		t.Errorf("session: %s", got.text)
	}
	if _, err := fake.Connect(Connection{ClientUserID: "u-2"}); err != ErrNoSuchUser {
		t.Errorf("error: %v", err)
	}
	if now, err := fake.Connect(Connection{ClientUserID: "u-1", IDAllowed: new(false)}); err != nil || !now.Connected || now.IDAllowed {
		t.Errorf("%v, %+v", err, now)
	}
	if users := fake.HumanUsers(); len(users) != 1 || !users[0].Connected {
		t.Errorf("users: %+v", users)
	}
}
