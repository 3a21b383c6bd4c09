package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// connectPath is the path that human_api_token serves by default.
const connectPath = "/private/human-api-token"

// clientOptions returns the options of an application of Human API.
func (h *fakeHuma) clientOptions(id, secret string) string {
	return "api " + h.URL + "\nclient_id " + id + "\nclient_secret " + secret + "\n"
}

// setConnected connects a source of data of a user, or disconnects it.
func (h *fakeHuma) setConnected(t testing.TB, user string, connected ...bool) {
	t.Helper()
	c := sandbox.Connection{ClientUserID: user}
	if len(connected) > 0 {
		c.Connected = &connected[0]
	}
	if _, err := h.Connect(c); err != nil {
		t.Fatal(err)
	}
}

// connectToken is a successful response of human_api_token.
type connectToken struct {
	Token        string `json:"token"`
	Type         string `json:"type"`
	ExpiresIn    *int64 `json:"expires_in"`
	SessionToken string `json:"session_token"`
	IDToken      string `json:"id_token"`
	HumanID      string `json:"human_id"`
}

// connect decodes a successful response of human_api_token. It fails if a member is
// missing or unknown.
func (a *response) connect(t testing.TB) connectToken {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", a.StatusCode, a.Body)
	}
	var v connectToken
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("read token: %v: %s", err, a.Body)
	}
	var members map[string]any
	if err := json.Unmarshal(a.Body, &members); err != nil {
		t.Fatal(err)
	}
	_, session := members["session_token"]
	_, id := members["id_token"]
	_, human := members["human_id"]
	switch {
	case v.Token == "" || v.ExpiresIn == nil || session == id || v.Token != v.SessionToken+v.IDToken:
	case v.Type != map[bool]string{true: "session", false: "id"}[session]:
	case human && (id || v.HumanID == ""):
	case a.Header.Get("Content-Type") != "application/json":
	default:
		return v
	}
	t.Fatalf("not a token of exactly one type: %v %s", a.Header, a.Body)
	return v
}

// configCodes are the error codes of Human API that mean that the operator's credentials
// or contract are insufficient.
var configCodes = []string{"INVALID_CLIENT_ID", "INVALID_CLIENT_ID_OR_SECRET", "CLIENT_TOKEN_GENERATION_NOT_ALLOWED", "NOT_AUTHORIZED"}

// codeShapes are the places of an error code in responses of Human API.
var codeShapes = []string{"errorCode", "error_code", "code", "error", "message", "type", "nested", "text"}

// connectSite is a site with human_api_token and the sandbox as its service.
type connectSite struct {
	*site
	fake *fakeHuma
	seen int // the number of calls that wantCalls has checked
}

// openConnect serves human_api_token with the given options.
func openConnect(t testing.TB, cfg sandbox.Config, more string) *connectSite {
	t.Helper()
	fake := newHuma(t, cfg)
	return &connectSite{site: serve(t, humanAPIService.site(fake, more)), fake: fake}
}

// get returns the token of a user.
func (d *connectSite) get(t testing.TB, user string, edit ...func(*http.Request)) connectToken {
	t.Helper()
	return d.request("GET", connectPath, append(edit, as(user))...).connect(t)
}

// wantCalls checks the calls since it was called last.
func (d *connectSite) wantCalls(t testing.TB, ops ...string) {
	t.Helper()
	var got []string
	for _, c := range d.fake.Calls().Calls[d.seen:] {
		got = append(got, c.Op)
	}
	d.seen += len(got)
	if !slices.Equal(got, ops) {
		t.Errorf("calls %v, want %v", got, ops)
	}
}

// addConnectedUser adds a user with a connected source of data.
func (d *connectSite) addConnectedUser(t testing.TB, user string) {
	t.Helper()
	humanAPIService.requireBothCalls(t, d.fake, user)
}

// addUserWithHint adds a connected user and requests a token, so that the site has a
// token type hint for the user.
func (d *connectSite) addUserWithHint(t testing.TB, user string) {
	t.Helper()
	d.addConnectedUser(t, user)
	d.get(t, user)
	d.wantCalls(t, "session", "id")
}

// setFaults sets the faults of the sandbox.
func (d *connectSite) setFaults(t testing.TB, faults ...sandbox.Fault) {
	t.Helper()
	if err := d.fake.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}

// waitNewToken waits until the cached token of a user has expired, and returns the next
// one.
func (d *connectSite) waitNewToken(t testing.TB, user string) (v connectToken) {
	t.Helper()
	before := d.fake.Calls().ByOp
	eventually(t, humanAPITimeout, "a new token", func() bool {
		v = d.get(t, user)
		return !maps.Equal(d.fake.Calls().ByOp, before)
	})
	return v
}

// humanAPITimeout is the timeout for something that normally takes a second.
const humanAPITimeout = 20 * time.Second

// noCache adds Cache-Control: no-cache to a request.
var noCache = header("Cache-Control", "no-cache")

// emailHeader adds the address of a user to a request.
func emailHeader(address string) func(*http.Request) { return header("X-Test-Email", address) }
