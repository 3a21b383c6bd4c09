package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// ending is an expected error response, and the calls before it.
type ending struct {
	status int
	code   string
	calls  []string
}

func (e ending) check(t testing.TB, d *connectDesk, a *answer) {
	t.Helper()
	d.made(t, e.calls...)
	if e.status == http.StatusOK {
		if v := a.connect(t); v.Type != e.calls[len(e.calls)-1] {
			t.Errorf("type %s after %v", v.Type, e.calls)
		}
		return
	}
	a.problem(t, e.status, e.code)
}

// The ends there are, after these calls.
func granted(calls ...string) ending     { return ending{200, "", calls} }
func unavailable(calls ...string) ending { return ending{409, "connect_unavailable", calls} }
func ourConfig(calls ...string) ending   { return ending{502, "upstream_config", calls} }
func ourRequest(calls ...string) ending  { return ending{502, "upstream_rejected", calls} }
func badAnswer(calls ...string) ending   { return ending{502, "upstream_bad_response", calls} }
func outage(calls ...string) ending      { return ending{503, "upstream_unavailable", calls} }

// someone is a user for whom a fault has not been met before. After a hint the
// first call is for an id token, and a session would be granted.
func (d *connectDesk) someone(t testing.TB, n *int, first string) (user string, edit func(*http.Request)) {
	t.Helper()
	*n++
	user = fmt.Sprintf("user %d", *n)
	if first == "session" {
		d.connected(t, user)
		return user, header("Accept", "*/*")
	}
	d.hinted(t, user)
	d.fake.connects(t, user, false)
	return user, fresh
}

// TestConnect_CodesInEveryShape: a code of Human API's decides, wherever it
// stands and whatever the status.
func TestConnect_CodesInEveryShape(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	for _, c := range []struct {
		name        string
		session, id ending
	}{
		{"SESSION_TOKEN_GENERATION_NOT_ALLOWED", granted("session", "id"), unavailable("id")},
		{"UNKNOWN_CLIENT_USER_ID", unavailable("session"), granted("id", "session")},
		{"ID_TOKEN_GENERATION_NOT_ALLOWED", unavailable("session"), granted("id", "session")},
		{"INVALID_CLIENT_ID", ourConfig("session"), ourConfig("id")},
		{"INVALID_CLIENT_ID_OR_SECRET", ourConfig("session"), ourConfig("id")},
		{"CLIENT_TOKEN_GENERATION_NOT_ALLOWED", ourConfig("session"), ourConfig("id")},
		{"NOT_AUTHORIZED", ourConfig("session"), ourConfig("id")},
		{"INVALID_TOKEN_TYPE", ourRequest("session"), ourRequest("id")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for op, want := range map[string]ending{"session": c.session, "id": c.id} {
				for _, shape := range codeShapes {
					for _, status := range []int{0, 400, 401, 404, 500, 503} {
						d.faults(t)
						user, edit := d.someone(t, &n, op)
						d.faults(t, sandbox.Fault{Op: op, Code: c.name, Shape: shape, Status: status})
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

// TestConnect_StatusesWithoutACode: then the status decides.
func TestConnect_StatusesWithoutACode(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	for status, c := range map[int]struct{ session, id ending }{
		400: {ourRequest("session"), ourRequest("id")},
		401: {ourConfig("session"), ourConfig("id")},
		403: {granted("session", "id"), granted("id", "session")},
		404: {ourRequest("session"), granted("id", "session")},
		409: {ourRequest("session"), ourRequest("id")},
		422: {ourRequest("session"), ourRequest("id")},
		429: {outage("session", "session"), outage("id", "id")},
		500: {outage("session"), outage("id")},
		503: {outage("session", "session"), outage("id", "id")},
		307: {badAnswer("session"), badAnswer("id")},
		200: {badAnswer("session"), badAnswer("id")},
	} {
		for op, want := range map[string]ending{"session": c.session, "id": c.id} {
			bodies := []string{
				`{"message":"XSESSION_TOKEN_GENERATION_NOT_ALLOWED, UNKNOWN_CLIENT_USER_IDS or INVALID_CLIENT"}`,
				`{"errorcode":"NOT_AUTHORIZED","details":"NOT_AUTHORIZED","data":{"code":"NOT_AUTHORIZED"}}`,
				"<html>", "[]", `{"errorCode":"SOMETHING_ELSE"}`, `{"errorCode":1}`, `{"error":{"code":null}}`, "",
			}
			switch status {
			case 200:
				bodies = bodies[:7] // the last would be a usual answer
			case 429, 503:
				bodies = bodies[:1] // each takes a retry's time
			}
			for _, body := range bodies {
				t.Run(fmt.Sprint(op, status, body), func(t *testing.T) {
					d.faults(t)
					user, edit := d.someone(t, &n, op)
					d.faults(t, sandbox.Fault{Op: op, Status: status, Body: body})
					want.check(t, d, d.request("GET", connectPath, as(user), edit))
				})
			}
		}
	}
}

// TestConnect_TheSecondCallIsTheLast: whatever comes of it, there is no third
// type, and a retry is of this call alone.
func TestConnect_TheSecondCallIsTheLast(t *testing.T) {
	d, n := openConnect(t, sandbox.Config{}, "breaker off"), 0
	elsewhere := newHuma(t, sandbox.Config{})
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		want  func(calls ...string) ending
		calls int
	}{
		{"refused, code", sandbox.Fault{Status: 403}, unavailable, 1},
		{"not allowed", sandbox.Fault{Code: "ID_TOKEN_GENERATION_NOT_ALLOWED"}, unavailable, 1},
		{"unknown", sandbox.Fault{Code: "UNKNOWN_CLIENT_USER_ID"}, unavailable, 1},
		{"session is over", sandbox.Fault{Code: "SESSION_TOKEN_GENERATION_NOT_ALLOWED"}, unavailable, 1},
		{"our client", sandbox.Fault{Code: "INVALID_CLIENT_ID"}, ourConfig, 1},
		{"our type", sandbox.Fault{Code: "INVALID_TOKEN_TYPE"}, ourRequest, 1},
		{"401", sandbox.Fault{Status: 401}, ourConfig, 1},
		{"400", sandbox.Fault{Status: 400}, ourRequest, 1},
		{"429", sandbox.Fault{Status: 429}, outage, 2},
		{"503", sandbox.Fault{Status: 503}, outage, 2},
		{"503 once", sandbox.Fault{Status: 503, Times: 1}, granted, 2},
		{"reset", sandbox.Fault{Reset: sandbox.ResetAfter}, outage, 2},
		{"500", sandbox.Fault{Status: 500}, outage, 1},
		{"redirect", sandbox.Fault{Redirect: elsewhere.URL + "/v1/connect/token"}, badAnswer, 1},
		{"garbage", sandbox.Fault{Garbage: true}, badAnswer, 1},
		{"too long", sandbox.Fault{Size: 65<<10 + 1}, badAnswer, 1},
		{"another's token", sandbox.Fault{Status: 200, Body: `{"token":"a","access_token":"b","expires_in":3600}`}, badAnswer, 1},
	} {
		for first, second := range map[string]string{"session": "id", "id": "session"} {
			t.Run(c.name+" after "+first, func(t *testing.T) {
				d.faults(t)
				user, edit := d.someone(t, &n, first)
				c.fault.Op = second
				d.faults(t, c.fault, sandbox.Fault{Op: first, Status: 403})
				want := c.want(append([]string{first}, slices.Repeat([]string{second}, c.calls)...)...)
				want.check(t, d, d.request("GET", connectPath, as(user), edit))
			})
		}
	}
	if calls := elsewhere.Calls().Calls; len(calls) != 0 {
		t.Errorf("a redirect was followed: %+v", calls)
	}
}

// TestConnect_NeitherTypeForAUser is a refusal that is repeated for a while
// without a call, and of which no hint is left.
func TestConnect_NeitherTypeForAUser(t *testing.T) {
	refuse := func(d *connectDesk, user string, refused bool) {
		allowed := !refused
		if _, err := d.fake.Connect(sandbox.Connection{ClientUserID: user, IDAllowed: &allowed}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(t *testing.T, d *connectDesk, user string, edit ...func(*http.Request)) {
		t.Helper()
		a := d.request("GET", connectPath, append(edit, as(user))...)
		a.problem(t, http.StatusConflict, "connect_unavailable")
		if text := string(a.Body); strings.Contains(text, "ALLOWED") || strings.Contains(text, user) {
			t.Errorf("the service's words: %s", text)
		}
	}
	t.Run("repeated", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 2s\n}")
		for _, user := range []string{"u-1", "u-2"} {
			d.connected(t, user)
			refuse(d, user, true)
			ask(t, d, user)
			ask(t, d, user)
			d.made(t, "session", "id")
		}
		refuse(d, "u-2", false)
		d.request("DELETE", connectPath, as("u-2")) // which forgets tokens alone
		ask(t, d, "u-2")
		d.made(t)
		d.renewedRefusal(t, "u-1")
		d.made(t, "session", "id")
		eventually(t, humanPatience, "a token once the refusal is not repeated", func() bool {
			return d.request("GET", connectPath, as("u-2")).StatusCode == http.StatusOK
		})
		d.made(t, "session", "id")
		// The service has refused this user, and nothing is wrong with us.
		if w := d.warnings(""); len(w) != 0 {
			t.Errorf("%q", w)
		}
	})
	t.Run("not repeated", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 0s\n}")
		d.connected(t, "u-1")
		refuse(d, "u-1", true)
		ask(t, d, "u-1")
		ask(t, d, "u-1")
		d.made(t, "session", "id", "session", "id")
	})
	t.Run("by one call", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache {\nnegative_ttl 0s\n}")
		d.hinted(t, "u-1")
		d.faults(t, sandbox.Fault{Op: "id", Code: "SESSION_TOKEN_GENERATION_NOT_ALLOWED"})
		ask(t, d, "u-1", fresh)
		d.made(t, "id")
		d.faults(t)
		d.get(t, "u-1")
		d.made(t, "session", "id") // the hint is gone
	})
	t.Run("after a hint", func(t *testing.T) {
		d := openConnect(t, sandbox.Config{}, "cache 300ms {\nnegative_ttl 0s\n}")
		d.hinted(t, "u-1")
		refuse(d, "u-1", true)
		eventually(t, humanPatience, "the token is over", func() bool {
			return d.request("GET", connectPath, as("u-1")).StatusCode == http.StatusConflict
		})
		d.made(t, "id", "session")
		ask(t, d, "u-1")
		d.made(t, "session", "id") // the hint is gone
	})
}

// renewedRefusal waits until a refusal is not repeated any more.
func (d *connectDesk) renewedRefusal(t testing.TB, user string) {
	t.Helper()
	before := d.fake.calls("session")
	eventually(t, humanPatience, "another call", func() bool {
		d.request("GET", connectPath, as(user)).problem(t, http.StatusConflict, "connect_unavailable")
		return d.fake.calls("session") > before
	})
}
