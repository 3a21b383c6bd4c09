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
		{"our client", sandbox.Fault{Code: "INVALID_CLIENT_ID"}, configErrorAfter, 1},
		{"our type", sandbox.Fault{Code: "INVALID_TOKEN_TYPE"}, requestErrorAfter, 1},
		{"503", sandbox.Fault{Status: 503}, outageAfter, 2},
		{"503 once", sandbox.Fault{Status: 503, Times: 1}, tokenAfter, 2},
		{"reset", sandbox.Fault{Reset: sandbox.ResetAfter}, outageAfter, 2},
		{"500", sandbox.Fault{Status: 500}, outageAfter, 1},
		{"redirect", sandbox.Fault{Redirect: elsewhere.URL + "/v1/connect/token"}, badResponseAfter, 1},
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
