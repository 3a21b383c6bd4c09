package huma

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

const (
	bobSignIn = `{"method":4,"clientId":"c1","projectId":"p1","email":"bob@example.com"}`
	bobSignUp = `{"method":4,"clientId":"c1","projectId":"p1","email":"bob@example.com",` +
		`"userAttributes":{"givenName":"Bob","familyName":"B"},"validationData":{"activationCode":"a"}}`
)

// oldestCall returns a valid call of the oldest edition.
func oldestCall(c *sandboxtest.Client, path, body string) *http.Request {
	r := c.Request(http.MethodPost, path, body)
	r.Header.Del("deploymentId")
	r.Header.Del("signature")
	r.Header.Set("verification-token", c.Secret)
	return r
}

func TestOldestEdition(t *testing.T) {
	fake, c := start(t, config.Config{Edition: config.EditionOldest})
	sandboxtest.Want(t, c.Send(oldestCall(c, oldestSignIn, bobSignIn)), 403, CodeUserUnknown)
	up := c.Send(oldestCall(c, oldestSignUp, bobSignUp))
	sandboxtest.Want(t, up, 200, 0)
	in := c.Send(oldestCall(c, oldestSignIn, bobSignIn))
	sandboxtest.Want(t, in, 200, 0)
	for _, r := range []sandboxtest.Response{up, in} {
		if r.Member(t, "uid") == nil || r.Member(t, "authToken") == nil {
			t.Errorf("response: %s", r.Text)
		}
	}
	sandboxtest.Want(t, c.Send(oldestCall(c, oldestSignUp, bobSignUp)), 400, CodeUserExists)

	for _, test := range []struct {
		name, path, body string
		header           map[string]string
		status, code     int
	}{
		{"the newest sign-in", sandboxtest.SignIn, sandboxtest.AliceSignIn, nil, 404, 0},
		{"the newest sign-up", sandboxtest.SignUp, sandboxtest.AliceSignUp, nil, 404, 0},
		{"a consent", sandboxtest.Consent, `{"email":"bob@example.com"}`, nil, 404, 0},
		{"a deployment", oldestSignIn, bobSignIn, map[string]string{"deploymentId": "d1"}, 400, CodeInvalidRequest},
		{"a signature", oldestSignIn, bobSignIn, map[string]string{"signature": "x"}, 400, CodeInvalidRequest},
		{"no secret", oldestSignIn, bobSignIn, map[string]string{"verification-token": ""}, 400, CodeInvalidRequest},
		{"another secret", oldestSignIn, bobSignIn, map[string]string{"verification-token": "x"}, 401, CodeUnauthorized},
		{"no method", oldestSignIn, strings.Replace(bobSignIn, `"method":4,`, "", 1), nil, 400, CodeInvalidRequest},
		{"another method", oldestSignIn, strings.Replace(bobSignIn, "4", "3", 1), nil, 400, CodeInvalidRequest},
		{"a method that is text", oldestSignIn, strings.Replace(bobSignIn, "4", `"4"`, 1), nil, 400, CodeInvalidRequest},
		{"an address of the client", oldestSignUp, strings.Replace(bobSignUp, "{", `{"ipAddress":"192.0.2.1",`, 1), nil, 400, CodeInvalidRequest},
		{"no activation code", oldestSignUp, strings.Replace(bobSignUp, `"activationCode":"a"`, "", 1), nil, 400, CodeInvalidRequest},
		{"no validation data", oldestSignUp, bobSignIn, nil, 400, CodeInvalidRequest},
		{"another project", oldestSignIn, strings.Replace(bobSignIn, "p1", "p2", 1), nil, 403, CodeProjectInvalid},
	} {
		r := oldestCall(c, test.path, test.body)
		for name, value := range test.header {
			r.Header.Set(name, value)
		}
		got := c.Send(r)
		if test.status == 404 {
			if got.Status != 404 {
				t.Errorf("%s: %+v", test.name, got)
			}
			continue
		}
		t.Run(test.name, func(t *testing.T) { sandboxtest.Want(t, got, test.status, test.code) })
	}
	if n := len(fake.List(0)); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}

// TestOtherEditions checks that the newer editions do not have the oldest one's calls, and
// that a sign-up of the middle one responds without tokens.
func TestOtherEditions(t *testing.T) {
	for _, edition := range []string{config.EditionMiddle, config.EditionNewest} {
		_, c := start(t, config.Config{Edition: edition})
		if got := c.Send(oldestCall(c, oldestSignIn, bobSignIn)); got.Status != 404 {
			t.Errorf("%s: %+v", edition, got)
		}
		up := c.Post(sandboxtest.SignUp, sandboxtest.AliceSignUp)
		sandboxtest.Want(t, up, 201, 0)
		if withToken := up.Member(t, "authToken") != nil; withToken != (edition == config.EditionNewest) {
			t.Errorf("%s: %s", edition, up.Text)
		}
		in := c.Post(sandboxtest.SignIn, sandboxtest.AliceSignIn)
		if in.Member(t, "authToken") == nil || in.Member(t, "expiresIn") != 3888000.0 {
			t.Errorf("%s: %s", edition, in.Text)
		}
	}
}
