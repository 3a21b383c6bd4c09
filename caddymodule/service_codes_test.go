package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestH18_ForbiddenByItsCode checks that a 403 response to a sign-in means an unknown
// user, who is signed up, unless its code has another meaning. The log contains the
// meaning, which names the option to change and replaces the hint at the signature.
func TestH18_ForbiddenByItsCode(t *testing.T) {
	for _, c := range []struct {
		body    string
		status  int
		code    string // the code of the response to the client; empty: the user is signed up
		meaning string
	}{
		{`{"message":"no"}`, 200, "", ""},
		{`<html>`, 200, "", ""},
		{`{"code":4711}`, 200, "", ""},
		{`{"code":300011}`, 200, "", ""},
		{`{"code":100001}`, 502, "upstream_config", "Huma does not know this project (option project_id)"},
		{`{"code":100002}`, 502, "upstream_config", "Huma does not know this client (option client_id)"},
		{`{"code":100004}`, 502, "upstream_config", "(option deployment_id)"},
		{`{"code":100006}`, 502, "upstream_config", "(options secret, signature and header_up)"},
		{`{"code":10001}`, 502, "upstream_config", "has expired"},
		{`{"code":100003}`, 502, "upstream_rejected", "Huma cannot parse the request (options api, sign_in and sign_up)"},
		{`{"code":100012}`, 403, "refused", "password"},
		{`{"code":100015}`, 403, "refused", "has not verified this user's email address"},
	} {
		t.Run(strings.Trim(c.body, "{}"), func(t *testing.T) { // Caddy would interpret braces as a placeholder
			huma := newHuma(t, sandbox.Config{})
			must(t, huma.SetFaults([]sandbox.Fault{{Op: sandbox.OpSignIn, Status: 403, Body: c.body}}))
			s := serve(t, simpleSite(huma, ""))
			a := s.request("GET", iosPath, as("a@x.example"))
			signUps := 0
			if c.code == "" {
				a.tokens(t)
				signUps = 1
			} else {
				a.problem(t, c.status, c.code)
			}
			if got := huma.Calls().ByOp; got["signin"] != 1 || got["signup"] != signUps {
				t.Errorf("calls %v, want 1 sign-in and %d sign-ups", got, signUps)
			}
			if found := s.logLines(`"meaning":`); c.meaning != "" && (len(found) != 1 || !strings.Contains(found[0], c.meaning)) || c.meaning == "" && found != nil {
				t.Errorf("the log has %q, want one line with %q", found, c.meaning)
			}
			if found := s.logLines(`"hint"`); c.status == http.StatusBadGateway && found != nil {
				t.Errorf("the log also has %q", found)
			}
		})
	}
}

// TestK07_RequestTimeout checks that a 408 response of the service is an outage, which is
// retried and not cached.
func TestK07_RequestTimeout(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		fake := newHuma(t, sandbox.Config{})
		must(t, fake.SetFaults([]sandbox.Fault{{Op: p.first, Status: 408}}))
		s := serve(t, p.site(fake, ""))
		for calls := range 2 {
			s.request("GET", p.target(), as("a@x.example")).problem(t, http.StatusServiceUnavailable, "upstream_unavailable")
			p.wantCalls(t, fake, 2*calls+2, 0)
		}
		must(t, fake.SetFaults(nil))
		s.request("GET", p.target(), as("a@x.example")).token(t, p)
	})
}
