package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// connectPath is what human_api_token serves.
const connectPath = "/private/human-api-token"

// client are the options of an application at Human API.
func (h *fakeHuma) client(id, secret string) string {
	return "api " + h.URL + "\nclient_id " + id + "\nclient_secret " + secret + "\n"
}

// connects lets a user connect a source of data, or take it away again.
func (h *fakeHuma) connects(t testing.TB, user string, connected ...bool) {
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
func (a *answer) connect(t testing.TB) connectToken {
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
