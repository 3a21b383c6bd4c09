package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// callResult is the expected response to a request and the expected calls to the service.
type callResult struct {
	status int
	code   string
	calls  []string
}

func (e callResult) check(t testing.TB, d *connectSite, a *response) {
	t.Helper()
	d.wantCalls(t, e.calls...)
	if e.status == http.StatusOK {
		if v := a.connect(t); v.Type != e.calls[len(e.calls)-1] {
			t.Errorf("type %s after %v", v.Type, e.calls)
		}
		return
	}
	a.problem(t, e.status, e.code)
}

// The following functions return the possible results after the given calls.
func tokenAfter(calls ...string) callResult { return callResult{200, "", calls} }
func unavailableAfter(calls ...string) callResult {
	return callResult{409, "connect_unavailable", calls}
}
func configErrorAfter(calls ...string) callResult { return callResult{502, "upstream_config", calls} }
func requestErrorAfter(calls ...string) callResult {
	return callResult{502, "upstream_rejected", calls}
}
func badResponseAfter(calls ...string) callResult {
	return callResult{502, "upstream_bad_response", calls}
}
func outageAfter(calls ...string) callResult { return callResult{503, "upstream_unavailable", calls} }

// newUser adds a user whom previous faults did not affect. first is the type of the first
// call. If it is "id", the user has a hint, and a session would be allowed.
func (d *connectSite) newUser(t testing.TB, n *int, first string) (user string, edit func(*http.Request)) {
	t.Helper()
	*n++
	user = fmt.Sprintf("user %d", *n)
	if first == "session" {
		d.addConnectedUser(t, user)
		return user, header("Accept", "*/*")
	}
	d.addUserWithHint(t, user)
	d.fake.setConnected(t, user, false)
	return user, noCache
}

// TestConnect_CodesInEveryShape checks that an error code of Human API takes precedence
// over the status, in any place of the response.
func TestConnect_CodesInEveryShape(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	for _, c := range []struct {
		name        string
		session, id callResult
	}{
		{"SESSION_TOKEN_GENERATION_NOT_ALLOWED", tokenAfter("session", "id"), unavailableAfter("id")},
		{"UNKNOWN_CLIENT_USER_ID", unavailableAfter("session"), tokenAfter("id", "session")},
		{"ID_TOKEN_GENERATION_NOT_ALLOWED", unavailableAfter("session"), tokenAfter("id", "session")},
		{"INVALID_CLIENT_ID", configErrorAfter("session"), configErrorAfter("id")},
		{"INVALID_CLIENT_ID_OR_SECRET", configErrorAfter("session"), configErrorAfter("id")},
		{"CLIENT_TOKEN_GENERATION_NOT_ALLOWED", configErrorAfter("session"), configErrorAfter("id")},
		{"NOT_AUTHORIZED", configErrorAfter("session"), configErrorAfter("id")},
		{"INVALID_TOKEN_TYPE", requestErrorAfter("session"), requestErrorAfter("id")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for op, want := range map[string]callResult{"session": c.session, "id": c.id} {
				for _, shape := range codeShapes {
					for _, status := range []int{0, 400, 401, 404, 500, 503} {
						d.setFaults(t)
						user, edit := d.newUser(t, &n, op)
						d.setFaults(t, sandbox.Fault{Op: op, Code: c.name, Shape: shape, Status: status})
						want.check(t, d, d.request("GET", connectPath, as(user), edit))
						if t.Failed() {
							t.Fatalf("%s as %s, status %d", op, shape, status)
						}
					}
				}
			}
		})
	}
}

// TestConnect_StatusesWithoutACode checks that the status decides if the response has no
// code.
func TestConnect_StatusesWithoutACode(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	for status, c := range map[int]struct{ session, id callResult }{
		400: {requestErrorAfter("session"), requestErrorAfter("id")},
		401: {configErrorAfter("session"), configErrorAfter("id")},
		403: {tokenAfter("session", "id"), tokenAfter("id", "session")},
		404: {requestErrorAfter("session"), tokenAfter("id", "session")},
		409: {requestErrorAfter("session"), requestErrorAfter("id")},
		422: {requestErrorAfter("session"), requestErrorAfter("id")},
		429: {outageAfter("session", "session"), outageAfter("id", "id")},
		500: {outageAfter("session"), outageAfter("id")},
		503: {outageAfter("session", "session"), outageAfter("id", "id")},
		307: {badResponseAfter("session"), badResponseAfter("id")},
		200: {badResponseAfter("session"), badResponseAfter("id")},
	} {
		for op, want := range map[string]callResult{"session": c.session, "id": c.id} {
			bodies := []string{
				`{"message":"XSESSION_TOKEN_GENERATION_NOT_ALLOWED, UNKNOWN_CLIENT_USER_IDS or INVALID_CLIENT"}`,
				`{"errorcode":"NOT_AUTHORIZED","details":"NOT_AUTHORIZED","data":{"code":"NOT_AUTHORIZED"}}`,
				"<html>", "[]", `{"errorCode":"SOMETHING_ELSE"}`, `{"errorCode":1}`, `{"error":{"code":null}}`, "",
			}
			switch status {
			case 200:
				bodies = bodies[:7] // the last one would be a valid response
			case 429, 503:
				bodies = bodies[:1] // each takes as long as a retry
			}
			for _, body := range bodies {
				t.Run(fmt.Sprint(op, status, body), func(t *testing.T) {
					d.setFaults(t)
					user, edit := d.newUser(t, &n, op)
					d.setFaults(t, sandbox.Fault{Op: op, Status: status, Body: body})
					want.check(t, d, d.request("GET", connectPath, as(user), edit))
				})
			}
		}
	}
}

// TestConnect_SecondTypeIsTheLast checks that after two token types no other call is
// made, and that only the second call is retried.
func TestConnect_SecondTypeIsTheLast(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	elsewhere := newHuma(t, sandbox.Config{})
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		want  func(calls ...string) callResult
		calls int
	}{
		{"refused, code", sandbox.Fault{Status: 403}, unavailableAfter, 1},
		{"not allowed", sandbox.Fault{Code: "ID_TOKEN_GENERATION_NOT_ALLOWED"}, unavailableAfter, 1},
		{"unknown", sandbox.Fault{Code: "UNKNOWN_CLIENT_USER_ID"}, unavailableAfter, 1},
		{"session is over", sandbox.Fault{Code: "SESSION_TOKEN_GENERATION_NOT_ALLOWED"}, unavailableAfter, 1},
		{"our client", sandbox.Fault{Code: "INVALID_CLIENT_ID"}, configErrorAfter, 1},
		{"our type", sandbox.Fault{Code: "INVALID_TOKEN_TYPE"}, requestErrorAfter, 1},
		{"401", sandbox.Fault{Status: 401}, configErrorAfter, 1},
		{"400", sandbox.Fault{Status: 400}, requestErrorAfter, 1},
		{"429", sandbox.Fault{Status: 429}, outageAfter, 2},
		{"503", sandbox.Fault{Status: 503}, outageAfter, 2},
		{"503 once", sandbox.Fault{Status: 503, Times: 1}, tokenAfter, 2},
		{"reset", sandbox.Fault{Reset: sandbox.ResetAfter}, outageAfter, 2},
		{"500", sandbox.Fault{Status: 500}, outageAfter, 1},
		{"redirect", sandbox.Fault{Redirect: elsewhere.URL + "/v1/connect/token"}, badResponseAfter, 1},
		{"garbage", sandbox.Fault{Garbage: true}, badResponseAfter, 1},
		{"too long", sandbox.Fault{Size: 65<<10 + 1}, badResponseAfter, 1},
		{"another's token", sandbox.Fault{Status: 200, Body: `{"token":"a","access_token":"b","expires_in":3600}`}, badResponseAfter, 1},
	} {
		for first, second := range map[string]string{"session": "id", "id": "session"} {
			t.Run(c.name+" after "+first, func(t *testing.T) {
				d.setFaults(t)
				user, edit := d.newUser(t, &n, first)
				c.fault.Op = second
				d.setFaults(t, c.fault, sandbox.Fault{Op: first, Status: 403})
				want := c.want(append([]string{first}, slices.Repeat([]string{second}, c.calls)...)...)
				want.check(t, d, d.request("GET", connectPath, as(user), edit))
			})
		}
	}
	if calls := elsewhere.Calls().Calls; len(calls) != 0 {
		t.Errorf("a redirect was followed: %+v", calls)
	}
}

// TestConnect_NeitherTypeForAUser checks that a user who may get neither type is rejected
// from the cache for negative_ttl, and that the hint is deleted.
func TestConnect_NeitherTypeForAUser(t *testing.T) {
	setRefused := func(d *connectSite, user string, refused bool) {
		allowed := !refused
		if _, err := d.fake.Connect(sandbox.Connection{ClientUserID: user, IDAllowed: &allowed}); err != nil {
			t.Fatal(err)
		}
	}
	request := func(t *testing.T, d *connectSite, user string, edit ...func(*http.Request)) {
		t.Helper()
		a := d.request("GET", connectPath, append(edit, as(user))...)
		a.problem(t, http.StatusConflict, "connect_unavailable")
		if text := string(a.Body); strings.Contains(text, "ALLOWED") || strings.Contains(text, user) {
			t.Errorf("the response contains the service's message: %s", text)
		}
	}
	t.Run("repeated", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 2s\n}")
		for _, user := range []string{"u-1", "u-2"} {
			d.addConnectedUser(t, user)
			setRefused(d, user, true)
			request(t, d, user)
			request(t, d, user)
			d.wantCalls(t, "session", "id")
		}
		setRefused(d, "u-2", false)
		d.request("DELETE", connectPath, as("u-2")) // evicts only tokens, not the rejection
		request(t, d, "u-2")
		d.wantCalls(t)
		d.waitNewRejection(t, "u-1")
		d.wantCalls(t, "session", "id")
		eventually(t, humanAPITimeout, "a token after negative_ttl", func() bool {
			return d.request("GET", connectPath, as("u-2")).StatusCode == http.StatusOK
		})
		d.wantCalls(t, "session", "id")
		// A rejected user is not an error of the config.
		if w := d.warnings(""); len(w) != 0 {
			t.Errorf("%q", w)
		}
	})
	t.Run("not repeated", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 0s\n}")
		d.addConnectedUser(t, "u-1")
		setRefused(d, "u-1", true)
		request(t, d, "u-1")
		request(t, d, "u-1")
		d.wantCalls(t, "session", "id", "session", "id")
	})
	t.Run("by one call", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 0s\n}")
		d.addUserWithHint(t, "u-1")
		d.setFaults(t, sandbox.Fault{Op: "id", Code: "SESSION_TOKEN_GENERATION_NOT_ALLOWED"})
		request(t, d, "u-1", noCache)
		d.wantCalls(t, "id")
		d.setFaults(t)
		d.get(t, "u-1")
		d.wantCalls(t, "session", "id") // the hint was deleted
	})
	t.Run("after a hint", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache 300ms {\nnegative_ttl 0s\n}")
		d.addUserWithHint(t, "u-1")
		setRefused(d, "u-1", true)
		eventually(t, humanAPITimeout, "the token has expired", func() bool {
			return d.request("GET", connectPath, as("u-1")).StatusCode == http.StatusConflict
		})
		d.wantCalls(t, "id", "session")
		request(t, d, "u-1")
		d.wantCalls(t, "session", "id") // the hint was deleted
	})
}

// waitNewRejection waits until a rejection is no longer served from the cache.
func (d *connectSite) waitNewRejection(t testing.TB, user string) {
	t.Helper()
	before := d.fake.calls("session")
	eventually(t, humanAPITimeout, "another call", func() bool {
		d.request("GET", connectPath, as(user)).problem(t, http.StatusConflict, "connect_unavailable")
		return d.fake.calls("session") > before
	})
}
