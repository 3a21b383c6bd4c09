package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

func TestDomains(t *testing.T) {
	d := open(t, strings.Replace(trustingSite, "email X-Test-User", "email X-Test-User\ndomains x.example Münster.example y.example", 1))
	for _, email := range []string{"a@x.example", "A@X.EXAMPLE", "a@Y.example", "a@Münster.example", "a@mÜnster.example", "a@xn--mnster-3ya.example", "a@XN--MNSTER-3YA.example"} {
		before := len(d.huma.Calls().Calls)
		d.request("GET", path, as(email)).tokens(t)
		if calls := d.huma.Calls().Calls[before:]; len(calls) == 0 || calls[0].Email != email {
			t.Errorf("%s: calls %+v", email, calls)
		}
	}
	for _, email := range []string{
		"a@sub.x.example", "a@x.example.evil", "a@evilx.example", "x.example@evil.example", "a@x.exampl\u0435",
		"a@xn--mnster-3yb.example", "a@example", "a@\u212a.example",
	} {
		d.wantRejection(t, 403, "domain_not_allowed", path, as(email))
	}
	for _, email := range []string{"a@evil.example@x.example", "a@x.example.", "a@.x.example", "a@x..example"} {
		d.wantRejection(t, 401, "identity_invalid", path, as(email))
	}
	d.wantRejection(t, 401, "identity_missing", path)
	d.request("DELETE", path, as("a@evil.example")).problem(t, 403, "domain_not_allowed")
	d.notLogged(t, "@x.example", "@evil", "@Y")
}

func TestVerified(t *testing.T) {
	yes, no := []string{"true", "1", "yes", "on", "TRUE", "Yes", "oN", " true "}, []string{"", "false", "0", "no", "off", "2", "verified", "true,true", "true true", "t", "null", "ｔrue"}
	t.Run("a header", func(t *testing.T) {
		d := open(t, strings.Replace(trustingSite, "email X-Test-User", "email X-Test-User\nverified X-Verified", 1))
		for _, v := range yes {
			d.wantTokenOf(t, "a@x.example", path, as("a@x.example"), header("X-Verified", v))
		}
		for _, v := range no {
			d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", v))
		}
		d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"))
		d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", "true"), header("X-Verified", "true"))
		d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"), header("X-Verified", "false"), header("X-Verified", "true"))
		d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"), header("X_Verified", "true"))
		d.wantRejection(t, 401, "identity_missing", path, header("X-Verified", "true")) // a missing user is reported first
		d.notLogged(t, "@x.example")
	})
	t.Run("an auth server", func(t *testing.T) {
		l := newLayer(t)
		d := open(t, forwardAuth(l, "", "identity authelia {\nverified X-Verified\n}"))
		headers := http.Header{"Remote-Email": {"a@x.example"}}
		l.setHeaders(headers)
		d.wantRejection(t, 403, "email_unverified", path, header("X-Verified", "true")) // the client's own header has no effect
		l.setHeaders(withHeader(headers.Clone(), "X-Verified", "true"))
		d.wantTokenOf(t, "a@x.example", path, header("X-Verified", "false"))
		l.setHeaders(withHeader(headers.Clone(), "X-Verified", "false"))
		d.wantRejection(t, 403, "email_unverified", path, header("X-Verified", "true"))
	})
	t.Run("a placeholder", func(t *testing.T) {
		for value, ok := range map[any]bool{true: true, false: false, "true": true, "no": false, 1: false, nil: false} {
			d := openEdited(t, strings.Replace(trustingSite, "email X-Test-User", "email X-Test-User\nverified {http.vars.checked}", 1), func(server map[string]any) {
				vars := map[string]any{"handle": []any{map[string]any{"handler": "vars", "checked": value}}}
				server["routes"] = append([]any{vars}, server["routes"].([]any)...)
			})
			if ok {
				d.wantTokenOf(t, "a@x.example", path, as("a@x.example"))
			} else {
				d.wantRejection(t, 403, "email_unverified", path, as("a@x.example"))
			}
		}
	})
}

// Interface guards
var _ caddyauth.Authenticator = portal{}
