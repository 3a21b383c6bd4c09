package huma

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCheckCalls checks which options of a call are errors, and that the errors contain
// no value.
func TestCheckCalls(t *testing.T) {
	const value = `"CANARY"`
	body := func(name string) CallOptions {
		return CallOptions{Body: map[string]json.RawMessage{name: json.RawMessage(value)}}
	}
	path := func(path string) CallOptions { return CallOptions{Path: path} }
	omitted := func(name string) CallOptions {
		o := body(name)
		o.Omit = []string{name}
		return o
	}
	huge := body("x")
	huge.Body["x"] = json.RawMessage(`"` + strings.Repeat("x", maxMembers) + `"`)
	for _, c := range []struct {
		name           string
		signIn, signUp CallOptions
		want           string // part of the error; empty: none
	}{
		{"nothing", CallOptions{}, CallOptions{}, ""},
		{"paths", path("/auth/v1/private/signin"), path("/auth/v1/private/signup"), ""},
		{"escapes", path("/a%2Fb/%20"), path("/ü%C3%BC"), "sign_up: path must begin"},
		{"no slash", path("auth"), CallOptions{}, "sign_in: path must begin with a slash, such as /api/integration/v1/auth/signin"},
		{"a URL", path("https://evil.example/x"), CallOptions{}, "sign_in: path"},
		{"a query", path("/x?a=b"), CallOptions{}, "sign_in: path"},
		{"an empty query", path("/x?"), CallOptions{}, "sign_in: path"},
		{"a fragment", CallOptions{}, path("/x#a"), "sign_up: path"},
		{"a space", path("/x y"), CallOptions{}, "sign_in: path"},
		{"a line break", path("/x\r\nHost: evil"), CallOptions{}, "sign_in: path"},
		{"a bad escape", path("/x%zz"), CallOptions{}, "sign_in: path"},
		{"dot segments", path("/x/../admin"), CallOptions{}, "sign_in: path"},
		{"escaped dot segments", path("/x/%2e%2E/admin"), CallOptions{}, "sign_in: path"},
		{"two dots in a name", path("/a..b"), CallOptions{}, ""},
		{"the published path of the other", path("/api/integration/v1/auth/signup"), CallOptions{}, "must differ"},
		{"the published path of a call that has another", path("/api/integration/v1/auth/signup"), path("/x"), "must differ"},
		{"one path for both", path("/a/signup"), path("/A/sign%75p/"), "must differ"},

		{"a member", body("method"), body("method"), ""},
		{"names of JavaScript", body("__proto__"), body("constructor"), ""},
		{"the deployment", body("deploymentId"), CallOptions{}, ""},
		{"with a dot", body("user.id"), CallOptions{}, "userId identifies the user"},
		{"the address", body("email"), CallOptions{}, "sign_in: body \"email\": email identifies the user"},
		{"in other case", body("EMAIL"), CallOptions{}, "email identifies the user"},
		{"with invisible characters", body("e\u200bmail "), CallOptions{}, "email identifies the user"},
		{"folded characters", body("paſſword"), CallOptions{}, "password identifies the user"},
		{"snake case", CallOptions{}, body("client_id"), "sign_up: body \"client_id\": clientId identifies"},
		{"omitted", omitted("email"), CallOptions{}, "'email' cannot be omitted: only language can"},
		{"the project", CallOptions{}, body("projectId"), "projectId identifies"},
		{"a user id", CallOptions{}, body("userId"), "userId identifies"},
		{"an own member", CallOptions{}, body("ipAddress"), "the directive sets it; to replace ipAddress, add: omit ipAddress"},
		{"an own member in other case", CallOptions{}, body("ip_address"), "the directive sets it"},
		{"an option's member", CallOptions{}, body("validationData"), "it is set by the option activation_code"},
		{"a replaced member", omitted("language"), omitted("validationData"), ""},
		{"at sign-in only", body("ipAddress"), CallOptions{}, ""},
		{"an unknown member", CallOptions{}, CallOptions{Omit: []string{"ipaddress"}}, "'ipaddress' cannot be omitted: only ipAddress, language, timezone, userAttributes, validationData can"},
		{"no name", body(""), CallOptions{}, "requires the name"},
		{"no UTF-8", body("\xff"), CallOptions{}, "requires the name"},
		{"huge", CallOptions{}, huge, "sign_up: body: all members together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckCalls(c.signIn, c.signUp)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY")):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
