package caddymodule_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// members are the names in an answer.
func (a *response) members(t testing.TB) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(maps.Keys(v)), " ")
}

// TestConnect_FromTheFirstTokenOn is the way of a user: a session, until they
// have connected a source of data; id tokens from then on, at one call each;
// and back when the source is taken away.
func TestConnect_FromTheFirstTokenOn(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache 300ms")
	a := d.request("GET", connectPath, as("u-1"))
	first := a.connect(t)
	a.noStore(t)
	if got := a.members(t); got != "expires_in human_id session_token token type" {
		t.Errorf("a session's answer has %s", got)
	}
	d.wantCalls(t, "session")
	users := d.fake.HumanUsers()
	if len(users) != 1 || users[0].ClientUserID != "u-1" || users[0].HumanID != first.HumanID || users[0].ClientID != "hapi1" {
		t.Errorf("users %+v, answered %+v", users, first)
	}
	if *first.ExpiresIn < 3590 || *first.ExpiresIn > 3600 {
		t.Errorf("good for %d", *first.ExpiresIn)
	}
	if d.waitNewToken(t, "u-1").Type != "session" {
		t.Error("another type")
	}
	d.wantCalls(t, "session")

	d.fake.setConnected(t, "u-1")
	a = d.request("GET", connectPath, as("u-1"), noCache)
	id := a.connect(t)
	if got := a.members(t); got != "expires_in id_token token type" {
		t.Errorf("an id token's answer has %s", got)
	}
	if id.Type != "id" || *id.ExpiresIn < 86390 || *id.ExpiresIn > 86400 {
		t.Errorf("type %s, good for %d", id.Type, *id.ExpiresIn)
	}
	d.wantCalls(t, "session", "id")
	for range 2 {
		if d.waitNewToken(t, "u-1").Type != "id" {
			t.Error("another type")
		}
		d.wantCalls(t, "id")
	}

	d.fake.setConnected(t, "u-1", false)
	if d.waitNewToken(t, "u-1").Type != "session" {
		t.Error("another type")
	}
	d.wantCalls(t, "id", "session")
	d.waitNewToken(t, "u-1")
	d.wantCalls(t, "session")
}

// TestConnect_HitsMakeNoCall: a token is kept much longer than Huma's, also
// one that the service would not give any more.
func TestConnect_HitsMakeNoCall(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "")
	first := d.get(t, "u-1")
	d.wantCalls(t, "session")
	d.fake.setConnected(t, "u-1")
	if d.get(t, "u-1").Token != first.Token {
		t.Error("another token")
	}
	d.wantCalls(t)
	id := d.get(t, "u-1", noCache)
	d.wantCalls(t, "session", "id")
	for _, edit := range []func(*http.Request){noCache, header("Accept", "*/*")} { // the second fresh one within 5 s
		if d.get(t, "u-1", edit).Token != id.Token {
			t.Error("another token")
		}
	}
	d.wantCalls(t)
}

// TestConnect_AHintThatIsLost costs one call: DELETE forgets it with the user,
// and the process with the account. A reload does not.
func TestConnect_AHintThatIsLost(t *testing.T) {
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

// TestConnect_WithoutACacheNothingIsRemembered: each request is its calls, and
// never more than two.
func TestConnect_WithoutACacheNothingIsRemembered(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache off")
	d.get(t, "u-1")
	d.get(t, "u-1")
	d.wantCalls(t, "session", "session")
	d.fake.setConnected(t, "u-1")
	d.get(t, "u-1")
	d.get(t, "u-1")
	d.wantCalls(t, "session", "id", "session", "id")
}

// TestConnect_HundredCallersAtOnce get one token for at most two calls.
func TestConnect_HundredCallersAtOnce(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "")
	d.addConnectedUser(t, "connected")
	d.addUserWithHint(t, "hinted")
	d.setFaults(t, sandbox.Fault{Delay: 200 * time.Millisecond})
	for _, c := range []struct {
		user string
		edit func(*http.Request)
		want []string
	}{
		{"new", nil, []string{"session"}},
		{"new", noCache, []string{"session"}},
		{"connected", nil, []string{"session", "id"}},
		{"hinted", noCache, []string{"id"}},
	} {
		tokens := make(map[string]int)
		for _, a := range d.concurrently(connectPath, 100, func(int) []func(*http.Request) {
			edits := []func(*http.Request){as(c.user)}
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			return edits
		}) {
			tokens[a.connect(t).Token]++
		}
		if len(tokens) != 1 {
			t.Errorf("%s: %d tokens", c.user, len(tokens))
		}
		d.wantCalls(t, c.want...)
	}
}

// TestConnect_TheAddressGoesWithSessionsOnly: the sandbox refuses it with id
// tokens, and where it is empty.
func TestConnect_TheAddressGoesWithSessionsOnly(t *testing.T) {
	d := openConnect(t, sandbox.Config{}, "cache off")
	const address = "Alice+x@X.example"
	d.get(t, "u-1", emailHeader(address))
	d.get(t, "u-1")
	d.fake.setConnected(t, "u-1")
	d.get(t, "u-1", emailHeader(address))
	d.get(t, "u-1")
	var got []string
	for _, c := range d.fake.Calls().Calls {
		got = append(got, c.Op+" "+c.Email)
		if c.ClientUserID != "u-1" || c.ClientID != "hapi1" || c.ExtraScopes != nil || c.Status != map[bool]int{true: 200, false: 403}[c.Error == ""] {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"session " + address, "session ", "session " + address, "id ", "session ", "id "}; !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// TestConnect_NothingLeaks: what is secret or personal is in no line of the
// log, at debug level, and but for the token in no answer.
func TestConnect_NothingLeaks(t *testing.T) {
	d := openConnect(t, sandbox.Config{HumanAPI: sandbox.HumanAPI{Clients: map[string]string{"hapi1": "CANARY-other"}}}, "cache off")
	address, user := emailHeader("CANARY-mail@x.example"), "CANARY-user"
	canaries := []string{"CANARY", "sandbox-secret"}
	check := func(a *response, status int) {
		t.Helper()
		text := strings.Replace(string(a.Body), "CANARY-token", "", 2) // as token, and by its own name
		for name, values := range a.Header {
			text += name + ": " + strings.Join(values, ",") + "\n"
		}
		for _, canary := range append(canaries, "refresh", "Bearer") {
			if a.StatusCode != status || strings.Contains(text, canary) {
				t.Errorf("status %d with %q: %v %s", a.StatusCode, canary, a.Header, a.Body)
			}
		}
	}
	ask := func() *response { return d.request("GET", connectPath, as(user), address) }
	check(ask(), 502) // the secret is refused
	const refused = `{"errorCode":"SESSION_TOKEN_GENERATION_NOT_ALLOWED","message":"CANARY-message","client_user_id":"CANARY-user"}`
	headers := http.Header{"X-Canary": {"CANARY-header"}, "Set-Cookie": {"a=CANARY-cookie"}}
	d.setFaults(t,
		sandbox.Fault{Op: "session", Status: 403, Body: refused, Headers: headers},
		sandbox.Fault{Op: "id", Status: 200, Headers: headers, Body: `{"token_type":"Bearer","id_token":"CANARY-token","id_refresh_token":"CANARY-refresh","id_token_expires_in":86400,"client_user_email":"CANARY-mail"}`})
	check(ask(), 200)
	d.setFaults(t, sandbox.Fault{Op: "session", Status: 200, Headers: headers, Body: `{"session_token":"CANARY-token","human_id":"h","expires_in":3600,"more":"CANARY-more"}`})
	check(ask(), 200)
	d.setFaults(t, sandbox.Fault{Status: 400, Headers: headers, Body: `{"message":"client_secret CANARY-secret of CANARY-mail@x.example is wrong","x-humanapi-request-id":"CANARY mail"}`})
	check(ask(), 502)
	d.setFaults(t, sandbox.Fault{Op: "session", Reset: sandbox.ResetAfter})
	check(ask(), 503)
	d.setFaults(t, sandbox.Fault{Op: "session", Status: 200, Body: `{"session_token":"CANARY-cut`})
	check(ask(), 502)
	d.request("DELETE", connectPath, as(user), address)
	d.request("GET", connectPath, as("CANARY{"), address).problem(t, 401, "identity_invalid")
	if !strings.Contains(d.log(), `"level":"debug"`) {
		t.Error("there is no debug log")
	}
	d.noSecretsInLog(canaries...)
}

// TestConnect_TheServicesRequestIDIsLogged, which its support asks for.
func TestConnect_TheServicesRequestIDIsLogged(t *testing.T) {
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
