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

// clientOptions are the options of an application at Human API.
func (h *fakeHuma) clientOptions(id, secret string) string {
	return "api " + h.URL + "\nclient_id " + id + "\nclient_secret " + secret + "\n"
}

// setConnected lets a user connect a source of data, or take it away again.
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

// connectToken is the success of human_api_token.
type connectToken struct {
	Token        string `json:"token"`
	Type         string `json:"type"`
	ExpiresIn    *int64 `json:"expires_in"`
	SessionToken string `json:"session_token"`
	IDToken      string `json:"id_token"`
	HumanID      string `json:"human_id"`
}

// connect reads a success of human_api_token: its members and nothing else.
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
	t.Fatalf("not a token of the one type: %v %s", a.Header, a.Body)
	return v
}

// The codes by which Human API says that the operator's credentials or
// contract do not do.
var configCodes = []string{"INVALID_CLIENT_ID", "INVALID_CLIENT_ID_OR_SECRET", "CLIENT_TOKEN_GENERATION_NOT_ALLOWED", "NOT_AUTHORIZED"}

// codeShapes are the places where a code of Human API may stand.
var codeShapes = []string{"errorCode", "error_code", "code", "error", "message", "type", "nested", "text"}

// connectSite is a site with human_api_token, and the sandbox behind it.
type connectSite struct {
	*site
	fake *fakeHuma
	seen int // calls that made has counted
}

// openConnect serves human_api_token with these options.
func openConnect(t testing.TB, cfg sandbox.Config, more string) *connectSite {
	t.Helper()
	fake := newHuma(t, cfg)
	return &connectSite{site: serve(t, humanAPIService.site(fake, more)), fake: fake}
}

// get is a user's token.
func (d *connectSite) get(t testing.TB, user string, edit ...func(*http.Request)) connectToken {
	t.Helper()
	return d.request("GET", connectPath, append(edit, as(user))...).connect(t)
}

// wantCalls checks which calls were made since it was asked last.
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

// addConnectedUser makes a user who has connected a source of data.
func (d *connectSite) addConnectedUser(t testing.TB, user string) {
	t.Helper()
	humanAPIService.requireBothCalls(t, d.fake, user)
}

// addUserWithHint creates a connected user for whom the site remembers a hint.
func (d *connectSite) addUserWithHint(t testing.TB, user string) {
	t.Helper()
	d.addConnectedUser(t, user)
	d.get(t, user)
	d.wantCalls(t, "session", "id")
}

// setFaults sets faults.
func (d *connectSite) setFaults(t testing.TB, faults ...sandbox.Fault) {
	t.Helper()
	if err := d.fake.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}

// waitNewToken waits until what is kept of a user is over, and returns their next
// token.
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

// noCache asks past the cache, and email brings an address along.
var noCache = header("Cache-Control", "no-cache")

func emailHeader(address string) func(*http.Request) { return header("X-Test-Email", address) }
