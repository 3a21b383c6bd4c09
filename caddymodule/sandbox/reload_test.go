package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// serveCaddy returns a client for a free loopback port, and a function that loads a Caddy
// config that listens there with the given routes.
func serveCaddy(t *testing.T) (*sandboxtest.Client, func(routes string) error) {
	t.Helper()
	address := testutil.FreeAddress(t)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := sandboxtest.New(t, "http://"+address)
	loads := 0
	return c, func(routes string) error {
		loads++
		ready := fmt.Sprintf("/ready-%d", loads)
		err := caddy.Load(fmt.Appendf(nil, `{
			"admin": {"disabled": true, "config": {"persist": false}},
			"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
			"apps": {
				"tls": {"disable_storage_check": true, "disable_storage_clean": true},
				"http": {"grace_period": "1s", "servers": {"s": {"listen": [%q], "automatic_https": {"disable": true}, "routes": [
					{"match": [{"path": [%q]}], "handle": [{"handler": "static_response", "status_code": 204}]}, %s
				]}}}
			}
		}`, address, ready, routes), true)
		if err == nil {
			awaitConfig(t, c, ready)
		}
		return err
	}
}

// awaitConfig waits until only the loaded config serves requests. Shortly after a reload,
// the old server still accepts connections on the same port.
func awaitConfig(t *testing.T, c *sandboxtest.Client, path string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for successes := 0; successes < 20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loaded config does not serve requests")
		}
		c.HTTP.CloseIdleConnections()
		if got, err := c.Do(c.Request(http.MethodGet, path, "")); err != nil || got.Status != 204 {
			successes = 0
			continue
		}
		successes++
	}
}

// route returns a route with a handler.
func route(handler string) string { return `{"handle":[` + handler + `]}` }

func TestStateSurvivesReloads(t *testing.T) {
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox","users":["root@example.com"]}`)); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 201, 0)
	session := c.Token(sandboxtest.TokenBody("session", "u-1"))
	sandboxtest.Want(t, session, 200, 0)
	sandboxtest.Want(t, c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"op":"consent","status":418,"times":2}]`)), 200, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.Consent, `{"email":"alice@example.com"}`), 418, 0)

	// The new secret and lifetime apply, and the users are kept.
	if err := load(route(`{"handler":"huma_sandbox","secret":"rotated","auth_token_lifetime":"30s","users":["new@example.com"]}`)); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 401, huma.CodeUnauthorized)
	c.Secret = "rotated"
	in := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
	sandboxtest.Want(t, in, 200, 0)
	if in.Member(t, "authTokenExpiresIn") != 30.0 {
		t.Errorf("sign-in: %s", in.Text)
	}
	for _, name := range []string{"root", "new"} {
		sandboxtest.Want(t, c.Post(sandboxtest.SignIn, strings.Replace(sandboxtest.AliceSignIn, "alice", name, 1)), 200, 0)
	}
	if next := c.Token(sandboxtest.TokenBody("session", "u-1")); next.Status != 200 || next.Member(t, "human_id") != session.Member(t, "human_id") {
		t.Errorf("session: %s", next.Text)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.Consent, `{"email":"alice@example.com"}`), 418, 0)
	sandboxtest.Want(t, c.Post(sandboxtest.Consent, `{"email":"alice@example.com"}`), 201, 0)
	if log := sandboxtest.Decode[CallLog](t, c.Get("/_sandbox/calls")); log.ByOp[OpSignUp] != 1 || log.ByOp[OpSignIn] != 4 || log.ByOp[OpConsent] != 3 {
		t.Errorf("calls: %v", log.ByOp)
	}

	// After Caddy is stopped, the state is deleted.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if n, found := states.References("default"); found {
		t.Errorf("%d references left", n)
	}
	if err := load(route(`{"handler":"huma_sandbox","secret":"rotated"}`)); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, huma.CodeUserUnknown)
}

func TestRejectedReloadChangesNothing(t *testing.T) {
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox"}`)); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp), 201, 0)
	const other = `{"handler":"huma_sandbox","secret":"other","users":["mallory@example.com"]}`
	for name, bad := range map[string]string{
		"a later handler fails": `{"handler":"huma_sandbox","prefix":"x"}`,
		"its placeholder fails": `{"handler":"huma_sandbox","secret":"{env.SANDBOX_TEST_UNSET}"}`,
		"unknown module":        `{"handler":"nothing"}`,
	} {
		if err := load(route(other) + "," + route(bad)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 200, 0)
	if users := sandboxtest.Decode[struct{ Users []User }](t, c.Get("/_sandbox/users")).Users; len(users) != 1 {
		t.Errorf("users: %s", sandboxtest.Compact(t, users))
	}
	if n, _ := states.References("default"); n != 1 {
		t.Errorf("%d references, want 1", n)
	}
}

func TestNamesAndPrefixesInCaddy(t *testing.T) {
	c, load := serveCaddy(t)
	match := func(path, handlers string) string {
		return fmt.Sprintf(`{"match":[{"path":[%q]}],"handle":[%s],"terminal":true}`, path, handlers)
	}
	// /x is stripped before the sandbox, but the client has signed it.
	err := load(strings.Join([]string{
		match("/x/*", `{"handler":"rewrite","strip_path_prefix":"/x"},{"handler":"huma_sandbox","signature":{"payload":"{sig.path}"}}`),
		match("/y/*", `{"handler":"huma_sandbox","prefix":"/y"}`),
		match("/z/*", `{"handler":"huma_sandbox","prefix":"/z","name":"other"}`),
	}, ","))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Request(http.MethodPost, "/x"+sandboxtest.SignUp, sandboxtest.AliceSignUp)
	r.Header.Set("signature", sandboxtest.HMAC(c.Secret, "/x"+sandboxtest.SignUp))
	sandboxtest.Want(t, c.Send(r), 201, 0)
	sandboxtest.Want(t, c.Post("/y"+sandboxtest.SignIn, sandboxtest.AliceSignIn), 200, 0)
	sandboxtest.Want(t, c.Post("/z"+sandboxtest.SignIn, sandboxtest.AliceSignIn), 403, huma.CodeUserUnknown)
	if got := c.Get("/x/"); got.Status != 200 || !strings.Contains(got.Text, "<title>") {
		t.Errorf("page: %+v", got)
	}
}

func TestFaultsInCaddy(t *testing.T) {
	c, load := serveCaddy(t)
	if err := load(route(`{"handler":"huma_sandbox"}`)); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Want(t, c.Send(c.Request(http.MethodPut, "/_sandbox/faults", `[{"op":"signup","reset":"after","times":1},{"op":"signin","truncate":20,"times":1}]`)), 200, 0)
	if _, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignUp, sandboxtest.AliceSignUp)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v", err)
	}
	if got, err := c.Do(c.Request(http.MethodPost, sandboxtest.SignIn, sandboxtest.AliceSignIn)); !errors.Is(err, io.ErrUnexpectedEOF) || len(got.Text) != 20 {
		t.Errorf("truncate: %v, %+v", err, got)
	}
	sandboxtest.Want(t, c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn), 200, 0)
}
