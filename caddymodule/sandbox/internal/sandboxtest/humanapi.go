package sandboxtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TokenBody returns the body of a request for a token. more are additional members.
func TokenBody(tokenType, user string, more ...string) string {
	members := append([]string{
		`"client_id":"hapi1"`, `"client_secret":"sandbox-secret"`,
		fmt.Sprintf(`"type":%q,"client_user_id":%q`, tokenType, user),
	}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

// Token requests a token. As in Human API's guide, the only header is Content-Type.
func (c *Client) Token(body string) Response {
	c.T.Helper()
	return c.Send(c.TokenRequest(body))
}

// TokenRequest returns the request of Token.
func (c *Client) TokenRequest(body string) *http.Request {
	c.T.Helper()
	r := c.Request(http.MethodPost, Connect, body)
	r.Header = http.Header{"Content-Type": {"application/json"}}
	return r
}

// Connect sends a body to POST /_sandbox/connect.
func (c *Client) Connect(body string) Response {
	c.T.Helper()
	return c.Send(c.Request(http.MethodPost, "/_sandbox/connect", body))
}

// WantCode fails the test unless a response has a status, an error code (none if code is
// empty) and a request id.
func WantCode(t *testing.T, got Response, status int, code string) {
	t.Helper()
	if got.Status != status {
		t.Fatalf("status %d, want %d: %s", got.Status, status, got.Text)
	}
	if got, _ := got.Member(t, "errorCode").(string); got != code {
		t.Errorf("errorCode %q, want %q", got, code)
	}
	message, _ := got.Member(t, "message").(string)
	if message == "" || strings.Contains(message, "_ID") || strings.Contains(message, "NOT_") {
		t.Errorf("message %q", message)
	}
	WantRequestID(t, got)
}

// WantRequestID fails the test unless a response has a request id.
func WantRequestID(t *testing.T, got Response) {
	t.Helper()
	if ids := got.Header.Values("x-humanapi-request-id"); len(ids) != 1 || len(ids[0]) < 16 {
		t.Errorf("request id: %q", ids)
	}
}

// WantTokens fails the test unless a response has the status 200 and exactly the members
// random and fixed. It returns the values of random, which must be opaque tokens.
func WantTokens(t *testing.T, got Response, random []string, fixed map[string]any) []string {
	t.Helper()
	if got.Status != 200 || got.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d, %v: %s", got.Status, got.Header, got.Text)
	}
	WantRequestID(t, got)
	for name, value := range fixed {
		if got.Member(t, name) != value {
			t.Errorf("%s: %v, want %v", name, got.Member(t, name), value)
		}
	}
	var tokens []string
	for _, name := range random {
		token, _ := got.Member(t, name).(string)
		if len(token) < 20 || strings.Contains(token, ".") {
			t.Errorf("%s is %q", name, token)
		}
		tokens = append(tokens, token)
	}
	if n := strings.Count(got.Text, `":`); n != len(random)+len(fixed) {
		t.Errorf("%d members: %s", n, got.Text)
	}
	return tokens
}

// SetFaults replaces the faults through the control API.
func (c *Client) SetFaults(list string) {
	c.T.Helper()
	Want(c.T, c.Send(c.Request(http.MethodPut, "/_sandbox/faults", list)), http.StatusOK, 0)
}
