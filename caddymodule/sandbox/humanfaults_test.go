package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

func TestHumanFaultsByOperation(t *testing.T) {
	c := serveHuman(t, "")
	statuses := func() string {
		var got []int
		for _, tokenType := range []string{"session", "id", "access"} {
			got = append(got, c.Token(sandboxtest.TokenBody(tokenType, "u-1")).Status)
		}
		return sandboxtest.Compact(t, append(got, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn).Status))
	}
	for _, test := range []struct{ op, want string }{
		{"session", "[418,403,400,403]"},
		{"id", "[200,418,400,403]"},
		{"connect", "[418,418,418,403]"},
		{"signin", "[200,403,400,418]"},
		{"*", "[418,418,418,418]"},
		{"", "[418,418,418,418]"},
	} {
		c.SetFaults(fmt.Sprintf(`[{"op":%q,"status":418}]`, test.op))
		if got := statuses(); got != test.want {
			t.Errorf("op %q: %s, want %s", test.op, got, test.want)
		}
	}
	c.SetFaults(`[{"op":"connect","status":503,"headers":{"Retry-After":"2"},"times":1},{"op":"session","status":429,"times":1}]`)
	got := c.Token(sandboxtest.TokenBody("id", "u-1"))
	sandboxtest.WantCode(t, got, 503, "")
	if got.Header.Get("Retry-After") != "2" {
		t.Errorf("headers: %v", got.Header)
	}
	sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 429, "")
	sandboxtest.Want(t, c.Token(sandboxtest.TokenBody("session", "u-1")), 200, 0)
	if log := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls?limit=3")).Calls; !log[0].Fault || !log[1].Fault || log[2].Fault {
		t.Errorf("log: %+v", log)
	}
}

func TestFaultCodes(t *testing.T) {
	c := serveHuman(t, "")
	for shape, body := range map[string]string{
		"":           `{"errorCode":"INVALID_CLIENT_ID","message":"injected fault"}`,
		"errorCode":  `{"errorCode":"INVALID_CLIENT_ID","message":"injected fault"}`,
		"error_code": `{"error_code":"INVALID_CLIENT_ID","message":"injected fault"}`,
		"code":       `{"code":"INVALID_CLIENT_ID","message":"injected fault"}`,
		"error":      `{"error":"INVALID_CLIENT_ID","message":"injected fault"}`,
		"message":    `{"message":"INVALID_CLIENT_ID"}`,
		"type":       `{"message":"injected fault","type":"INVALID_CLIENT_ID"}`,
		"nested":     `{"error":{"code":"INVALID_CLIENT_ID","message":"injected fault"}}`,
		"text":       `{"message":"injected fault (INVALID_CLIENT_ID): see the guide"}`,
	} {
		c.SetFaults(fmt.Sprintf(`[{"op":"session","code":"INVALID_CLIENT_ID","shape":%q,"status":418}]`, shape))
		got := c.Token(sandboxtest.TokenBody("session", "u-1"))
		if got.Status != 418 || got.Text != body || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %+v", shape, got)
		}
		sandboxtest.WantRequestID(t, got)
	}
	for code, status := range humanapi.Codes.Status {
		c.SetFaults(fmt.Sprintf(`[{"op":"connect","code":%q}]`, code))
		for _, tokenType := range []string{"session", "id"} {
			sandboxtest.WantCode(t, c.Token(sandboxtest.TokenBody(tokenType, "u-1")), status, code)
		}
	}
	if users := sandboxtest.Decode[struct{ HumanUsers []HumanUser }](t, c.Get("/_sandbox/users")).HumanUsers; len(users) != 0 {
		t.Errorf("processed: %+v", users)
	}
	const processed = `[{"op":"session","code":"NOT_AUTHORIZED","shape":"nested","processed":true}]`
	c.SetFaults(processed)
	if got := c.Token(sandboxtest.TokenBody("session", "u-1")); got.Status != 401 {
		t.Errorf("%+v", got)
	}
	if users := sandboxtest.Decode[struct{ HumanUsers []HumanUser }](t, c.Get("/_sandbox/users")).HumanUsers; len(users) != 1 {
		t.Errorf("not processed: %+v", users)
	}
	if left := c.Get("/_sandbox/faults").Text; strings.TrimSpace(left) != processed {
		t.Errorf("remaining: %s", left)
	}
	for fault, problem := range map[string]string{
		`{"op":"session","code":"INVALID_CLIENTID"}`:                                  `code: unknown code "INVALID_CLIENTID"; use one of CLIENT_TOKEN`,
		`{"op":"session","code":"NOT_AUTHORIZED","shape":"code_error"}`:               `shape: unknown shape "code_error"; use one of errorCode`,
		`{"op":"session","shape":"text"}`:                                             "shape requires code",
		`{"op":"signin","code":"NOT_AUTHORIZED"}`:                                     "code requires the operation session, id or connect",
		`{"code":"NOT_AUTHORIZED"}`:                                                   "code requires the operation session, id or connect",
		`{"op":"id","code":"NOT_AUTHORIZED","body":"x"}`:                              "code and body exclude each other",
		`{"op":"id","code":"NOT_AUTHORIZED","garbage":true}`:                          "exclude each other",
		`{"op":"id","code":"NOT_AUTHORIZED","reset":"after"}`:                         "exclude each other",
		`{"op":"session","appear_after":"1s","code":"SESSION_TOKEN_NOT_ALLOWED_YET"}`: "code",
		`{"op":"session","appear_after":"1s"}`:                                        "appear_after requires the operation signup",
	} {
		got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", "["+fault+"]"))
		sandboxtest.Want(t, got, 400, huma.CodeInvalidRequest)
		if message, _ := got.Member(t, "message").(string); !strings.Contains(message, problem) {
			t.Errorf("%s: %s", fault, message)
		}
	}
}
