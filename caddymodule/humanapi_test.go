package caddymodule_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// members returns the names of the members of a response.
func (a *response) members(t testing.TB) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(maps.Keys(v)), " ")
}

// TestConnect_TokenTypes checks the token types of a user over time: sessions until the
// user has connected a source of data, then ID tokens with one call each, and sessions
// again after the source was disconnected.
func TestConnect_TokenTypes(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache 300ms")
	a := d.request("GET", connectPath, as("u-1"))
	first := a.connect(t)
	a.noStore(t)
	if got := a.members(t); got != "expires_in human_id session_token token type" {
		t.Errorf("the response with a session has %s", got)
	}
	d.wantCalls(t, "session")
	users := d.fake.HumanUsers()
	if len(users) != 1 || users[0].ClientUserID != "u-1" || users[0].HumanID != first.HumanID || users[0].ClientID != "hapi1" {
		t.Errorf("users %+v, response %+v", users, first)
	}
	if *first.ExpiresIn < 3590 || *first.ExpiresIn > 3600 {
		t.Errorf("lifetime %d", *first.ExpiresIn)
	}
	if d.waitNewToken(t, "u-1").Type != "session" {
		t.Error("wrong type")
	}
	d.wantCalls(t, "session")

	d.fake.setConnected(t, "u-1")
	a = d.request("GET", connectPath, as("u-1"), noCache)
	id := a.connect(t)
	if got := a.members(t); got != "expires_in id_token token type" {
		t.Errorf("the response with an ID token has %s", got)
	}
	if id.Type != "id" || *id.ExpiresIn < 86390 || *id.ExpiresIn > 86400 {
		t.Errorf("type %s, lifetime %d", id.Type, *id.ExpiresIn)
	}
	d.wantCalls(t, "session", "id")
	for range 2 {
		if d.waitNewToken(t, "u-1").Type != "id" {
			t.Error("wrong type")
		}
		d.wantCalls(t, "id")
	}

	d.fake.setConnected(t, "u-1", false)
	if d.waitNewToken(t, "u-1").Type != "session" {
		t.Error("wrong type")
	}
	d.wantCalls(t, "id", "session")
	d.waitNewToken(t, "u-1")
	d.wantCalls(t, "session")
}

// TestConnect_LostHint checks that a lost hint costs one call. DELETE deletes the hint of
// the user, and a config without the account deletes all hints. A reload deletes none.
func TestConnect_LostHint(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache 300ms")
	d.addUserWithHint(t, "u-1")
	config := humanAPIService.site(d.fake, "cache 300ms")
	if err := d.load(config + "\n# again"); err != nil {
		t.Fatal(err)
	}
	d.waitNewToken(t, "u-1")
	d.wantCalls(t, "id")

	if a := d.request("DELETE", connectPath, as("u-1")); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.StatusCode)
	}
	d.get(t, "u-1")
	d.wantCalls(t, "session", "id")
	d.waitNewToken(t, "u-1")
	d.wantCalls(t, "id")

	for _, text := range []string{"SITE {\nrespond 404\n}", config} {
		if err := d.load(text); err != nil {
			t.Fatal(err)
		}
	}
	d.get(t, "u-1")
	d.wantCalls(t, "session", "id")
}

// TestConnect_WithoutACache checks that every request makes its calls if the cache is
// off, at most two.
func TestConnect_WithoutACache(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache off")
	d.get(t, "u-1")
	d.get(t, "u-1")
	d.wantCalls(t, "session", "session")
	d.fake.setConnected(t, "u-1")
	d.get(t, "u-1")
	d.get(t, "u-1")
	d.wantCalls(t, "session", "id", "session", "id")
}

// TestConnect_NothingLeaks checks that secrets and personal data are neither in the log,
// at level DEBUG, nor in responses, except for the token.
func TestConnect_NothingLeaks(t *testing.T) {
	d := openConnect(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "CANARY-other"}}}, "cache off")
	address, user := emailHeader("CANARY-mail@x.example"), "CANARY-user"
	canaries := []string{"CANARY", "sandbox-secret"}
	check := func(a *response, status int) {
		t.Helper()
		text := strings.Replace(string(a.Body), "CANARY-token", "", 2) // the members token and session_token
		for name, values := range a.Header {
			text += name + ": " + strings.Join(values, ",") + "\n"
		}
		for _, canary := range append(canaries, "refresh", "Bearer") {
			if a.StatusCode != status || strings.Contains(text, canary) {
				t.Errorf("status %d with %q: %v %s", a.StatusCode, canary, a.Header, a.Body)
			}
		}
	}
	request := func() *response { return d.request("GET", connectPath, as(user), address) }
	check(request(), 502) // the service refuses the secret
	const refused = `{"errorCode":"SESSION_TOKEN_GENERATION_NOT_ALLOWED","message":"CANARY-message","client_user_id":"CANARY-user"}`
	headers := http.Header{"X-Canary": {"CANARY-header"}, "Set-Cookie": {"a=CANARY-cookie"}}
	d.setFaults(t,
		sandbox.Fault{Op: "session", Status: 403, Body: refused, Headers: headers},
		sandbox.Fault{Op: "id", Status: 200, Headers: headers, Body: `{"token_type":"Bearer","id_token":"CANARY-token","id_refresh_token":"CANARY-refresh","id_token_expires_in":86400,"client_user_email":"CANARY-mail"}`})
	check(request(), 200)
	d.setFaults(t, sandbox.Fault{Op: "session", Status: 200, Headers: headers, Body: `{"session_token":"CANARY-token","human_id":"h","expires_in":3600,"more":"CANARY-more"}`})
	check(request(), 200)
	d.setFaults(t, sandbox.Fault{Status: 400, Headers: headers, Body: `{"message":"client_secret CANARY-secret of CANARY-mail@x.example is wrong","x-humanapi-request-id":"CANARY mail"}`})
	check(request(), 502)
	d.setFaults(t, sandbox.Fault{Op: "session", Reset: sandbox.ResetAfter})
	check(request(), 503)
	d.setFaults(t, sandbox.Fault{Op: "session", Status: 200, Body: `{"session_token":"CANARY-cut`})
	check(request(), 502)
	d.request("DELETE", connectPath, as(user), address)
	d.request("GET", connectPath, as("CANARY{"), address).problem(t, 401, "identity_invalid")
	if !strings.Contains(d.log(), `"level":"debug"`) {
		t.Error("the debug log is empty")
	}
	d.noSecretsInLog(canaries...)
}

// TestConnect_RequestIDIsLogged checks that the request ID of the service is logged,
// because its support asks for it.
func TestConnect_RequestIDIsLogged(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "")
	d.addConnectedUser(t, "u-1")
	d.setFaults(t, sandbox.Fault{Op: "id", Status: 400})
	d.request("GET", connectPath, as("u-1")).problem(t, 502, "upstream_rejected")
	calls := d.fake.Calls().Calls
	if len(calls) != 2 || calls[1].RequestID == "" {
		t.Fatalf("%+v", calls)
	}
	line := strings.Join(d.logLines("token exchange failed"), "\n")
	if !strings.Contains(line, calls[1].RequestID) {
		t.Errorf("%s is not in %s", calls[1].RequestID, line)
	}
}
