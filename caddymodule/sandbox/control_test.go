package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

func TestControlCalls(t *testing.T) {
	_, c := start(t, Config{})
	empty := c.Get("/_sandbox/calls")
	if strings.TrimSpace(empty.Text) != `{"calls":[],"byOp":{},"byUser":{},"byClientUser":{},"inFlight":0,"maxInFlight":0,"connections":0}` {
		t.Errorf("at the start: %s", empty.Text)
	}
	c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
	c.Post(sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "alice", "Alice", 1))
	c.Post(sandboxtest.Refresh, `{}`)
	log := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls"))
	var lines []string
	for _, call := range log.Calls {
		lines = append(lines, fmt.Sprint(call.Seq, call.Op, call.Email, call.ClientID, call.Status))
		if call.At.IsZero() || (call.Status >= 400) != (call.Error != "") || call.Fault {
			t.Errorf("call: %+v", call)
		}
	}
	const wanted = "1 signin alice@example.com c1 403; 2 signup alice@example.com c1 201; 3 signin Alice@example.com c1 200; 4 refresh   400"
	if got := strings.Join(lines, "; "); withoutSpaces(got) != withoutSpaces(wanted) {
		t.Errorf("calls: %s", got)
	}
	if sandboxtest.Compact(t, log.ByUser) != `{"alice@example.com":{"signin":2,"signup":1}}` || sandboxtest.Compact(t, log.ByOp) != `{"refresh":1,"signin":2,"signup":1}` {
		t.Errorf("counters: %v %v", log.ByUser, log.ByOp)
	}
	if log.MaxInFlight != 1 || log.InFlight != 0 || log.Connections < 1 {
		t.Errorf("log: %+v", log)
	}
	last := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls?limit=1"))
	if len(last.Calls) != 1 || last.Calls[0].Seq != 4 || len(last.ByUser) != 0 || last.ByOp[OpSignIn] != 2 {
		t.Errorf("limited: %+v", last)
	}
}

// withoutSpaces removes spaces, which fmt.Sprint adds only between some operands.
func withoutSpaces(s string) string { return strings.ReplaceAll(s, " ", "") }

func TestControlUsersAndReset(t *testing.T) {
	fake, c := start(t, Config{Users: []string{"root@example.com"}})
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "alice", "root", 1)), 200, 0)
	fake.AddUser("alice@example.com")
	if existing := fake.AddUser("ALICE@example.com"); existing.Email != "alice@example.com" {
		t.Errorf("added twice: %+v", existing)
	}
	users := sandboxtest.Decode[struct{ Users []User }](t, c.Get("/_sandbox/users")).Users
	if len(users) != 2 || users[0].Email != "root@example.com" || users[1].Email != "alice@example.com" || len(users[0].UID) != 24 {
		t.Errorf("users: %+v", users)
	}
	if last := sandboxtest.Decode[struct{ Users []User }](t, c.Get("/_sandbox/users?limit=1")).Users; len(last) != 1 || last[0].Email != "alice@example.com" {
		t.Errorf("limited: %+v", last)
	}
	setFaults(t, fake, Fault{Op: OpSignUp, Status: 500})

	got := c.Send(c.Request(http.MethodPost, "/_sandbox/reset", ""))
	if got.Status != 204 || got.Text != "" {
		t.Errorf("reset: %+v", got)
	}
	users = sandboxtest.Decode[struct{ Users []User }](t, c.Get("/_sandbox/users")).Users
	if len(users) != 1 || users[0].Email != "root@example.com" || len(fake.Faults()) != 0 || len(fake.Calls().Calls) != 0 || len(fake.Calls().ByOp) != 0 {
		t.Errorf("after the reset: %+v, %+v", users, fake.Calls())
	}
}

func TestControlFaults(t *testing.T) {
	_, c := start(t, Config{})
	got := c.Send(c.Request(http.MethodPut, "/_sandbox/faults", ` [{"op":"signin","status":429,"headers":{"Retry-After":"2"},"times":2}]`))
	sandboxtest.Want(t, got, 200, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 429, 429)
	if left := strings.TrimSpace(c.Get("/_sandbox/faults").Text); left != `[{"op":"signin","times":1,"status":429,"headers":{"Retry-After":["2"]}}]` {
		t.Errorf("remaining: %s", left)
	}
	sandboxtest.Want(t, c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[]`)), 200, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, huma.CodeUserUnknown)
}

func TestMaxInFlight(t *testing.T) {
	fake, c := start(t, Config{})
	setFaults(t, fake, Fault{Delay: 100 * time.Millisecond})
	done := make(chan error)
	for range 5 {
		go func() {
			_, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn))
			done <- err
		}()
	}
	for range 5 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	log := fake.Calls()
	if log.MaxInFlight != 5 || log.InFlight != 0 || log.Connections != 5 {
		t.Errorf("log: %d most in flight, %d now, %d connections", log.MaxInFlight, log.InFlight, log.Connections)
	}
}

func TestNewPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New did not panic")
		}
	}()
	New(Config{Prefix: "x"})
}

func TestUnknownPaths(t *testing.T) {
	_, c := start(t, Config{})
	for _, path := range []string{sandboxtest.SignIn + "/", "/api"} {
		sandboxtest.Want(t, c.Post(path, sandboxtest.AliceSignIn), 404, huma.CodeInvalidRequest)
	}
}

// TestOperationNames checks that OperationNames are exactly the operations of the APIs.
func TestOperationNames(t *testing.T) {
	var names []string
	for _, api := range New(Config{}).apis {
		for _, op := range api.Operations {
			names = append(names, op.Name)
		}
	}
	if !slices.Equal(names, service.OperationNames) {
		t.Errorf("%v, want %v", names, service.OperationNames)
	}
}
