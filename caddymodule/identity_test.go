package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The tests in this file check that requests without exactly one valid user are rejected,
// one kind of input each.

func TestI01_NoValue(t *testing.T) {
	d := open(t, trustingSite)
	d.wantRejection(t, 401, "identity_missing", path)
	for _, blank := range []string{"", " ", "\t", " \t  "} {
		d.wantRejection(t, 401, "identity_missing", path, as(blank))
	}
	// The value of a placeholder is not trimmed by the server.
	v := open(t, querySite)
	v.wantRejection(t, 401, "identity_missing", path)
	for _, blank := range []string{"", " ", "\t \r\n", "\u00a0", "\u2003"} {
		v.wantRejection(t, 401, "identity_missing", query(blank))
	}
	v.wantTokenOf(t, "a@x.example", query("a@x.example")) // the site works
	v.notLogged(t, "@x.example")
}

func TestI02_MoreThanOne(t *testing.T) {
	d := open(t, trustingSite)
	d.wantTokenOf(t, "a@x.example", path, as("a@x.example"))
	for _, c := range []struct {
		name    string
		code    string
		headers []string
	}{
		{"two lines", "identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: b@x.example"}},
		{"the same twice", "identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: a@x.example"}},
		{"two spellings", "identity_ambiguous", []string{"X-Test-User: a@x.example", "x-TEST-user: b@x.example"}},
		{"first empty", "identity_ambiguous", []string{"X-Test-User:", "X-Test-User: b@x.example"}},
		{"second empty", "identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: "}},
		{"far apart", "identity_ambiguous", []string{"X-Test-User: a@x.example", "Accept: */*", "X-Test-User: b@x.example"}},
		{"a comma list", "identity_invalid", []string{"X-Test-User: a@x.example, b@x.example"}},
		{"a comma list of one", "identity_invalid", []string{"X-Test-User: a@x.example,"}},
		{"a semicolon list", "identity_invalid", []string{"X-Test-User: a@x.example;b@x.example"}},
		{"split by a bare LF", "identity_ambiguous", []string{"X-Test-User: a@x.example\nX-Test-User: b@x.example"}},
		{"a folded list", "identity_invalid", []string{"X-Test-User: a@x.example\r\n b@x.example"}},
		{"folded after a comma", "identity_invalid", []string{"X-Test-User: a@x.example,\r\n\tb@x.example"}},
		{"an address in a fold", "identity_invalid", []string{"X-Test-User: a@x.ex\r\n ample"}},
		{"a fold of another line", "identity_missing", []string{"X-Other: 1\r\n X-Test-User: a@x.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(d.huma.Calls().Calls)
			d.raw(t, rawGet(c.headers...)...).problem(t, 401, c.code)
			d.wantNoCalls(t, before)
		})
	}
	// net/http reads these as one valid line. The trusted proxy must not pass them on.
	for _, header := range []string{"X-Test-User:\r\n a@x.example", "X-Other: 1\nX-Test-User: a@x.example"} {
		before := len(d.huma.Calls().Calls)
		d.checkTokenOf(t, d.raw(t, rawGet(header)...), "a@x.example", before)
	}
	// The server rejects invalid HTTP before the handler.
	for name, header := range map[string]string{
		"a bare CR":        "X-Test-User: a@x.example\rX-Test-User: b@x.example",
		"a space in front": "X-Test-User : a@x.example",
		"NUL":              "X-Test-User: a\x00@x.example",
		"DEL":              "X-Test-User: a\x7f@x.example",
		"ESC":              "X-Test-User: \x1ba@x.example",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(d.huma.Calls().Calls)
			if a := d.raw(t, rawGet(header)...); a.StatusCode != 400 {
				t.Errorf("status %d, want 400: %s", a.StatusCode, a.Body)
			}
			d.wantNoCalls(t, before)
		})
	}
	d.notLogged(t, "@x.example")
}

func TestI03_OtherNames(t *testing.T) {
	site := func(global string) string {
		return global + `SITE {
			huma_token {
				HUMA
				identity {
					email X-Forwarded-Email
				}
				trust proxies 127.0.0.1
			}
		}`
	}
	aliases := []string{
		"X_Forwarded_Email", "X.Forwarded.Email", "x_forwarded_email", "X-Forwarded_Email", "X_Forwarded-Email",
		"X.Forwarded-Email", "X-Forwarded.Email", "X_Forwarded.Email", "XForwardedEmail", "X--Forwarded-Email",
		"X-Forwarded-Email-", "-X-Forwarded-Email", "X-Forwarded-Emai", "X-Forwarded-Emails", "HTTP_X_FORWARDED_EMAIL",
		"X~Forwarded~Email", "X'Forwarded'Email", "X-Forwarded-User", "X-Auth-Request-Email", "Remote-Email", "X-Email", "From",
	}
	d := open(t, site(""))
	for _, alias := range aliases {
		d.wantRejection(t, 401, "identity_missing", path, header(alias, "a@x.example"))
		// Next to the right header it has no effect.
		d.wantTokenOf(t, "right@x.example", path, header("X-Forwarded-Email", "right@x.example"), header(alias, "a@x.example"))
	}
	// Header names are case-insensitive: these are the same header.
	for _, same := range []string{"x-forwarded-email", "X-FORWARDED-EMAIL", "x-Forwarded-eMAIL"} {
		d.wantTokenOf(t, "a@x.example", path, header(same, "a@x.example"))
	}
	// A trailer is not a header.
	before := len(d.huma.Calls().Calls)
	d.raw(t, "POST "+path+" HTTP/1.1", "Host: SITE", "Connection: close", "Transfer-Encoding: chunked",
		"Trailer: X-Forwarded-Email", "", "0", "X-Forwarded-Email: a@x.example").problem(t, 401, "identity_missing")
	d.wantNoCalls(t, before)
	d.notLogged(t, "@x.example")
}

func TestI07_UnsetPlaceholder(t *testing.T) {
	for _, c := range []struct {
		name         string
		source, more string
	}{
		{name: "an unknown placeholder", source: "{user_email}"},
		{name: "a variable", source: "{http.vars.user_email}"},
		{name: "a variable with a dot", source: "{http.vars.user.email}"},
		{name: "no authentication", source: "{http.auth.user.email}"},
		{name: "no metadata", source: "{http.auth.user.email}", more: accounts},
		{name: "no auth server", source: "{http.reverse_proxy.header.Remote-Email}"},
		{name: "no auth server, alias", source: "{http.reverse_proxy.header.remote-email}"},
		{name: "an empty map", source: "{user_email}", more: "map {path} {user_email} {\n/other other@x.example\n}"},
		{name: "a map of another name", source: "{user_email}", more: "map {path} {user_name} {\ndefault a@x.example\n}"},
		{name: "a map to a placeholder", source: "{user_email}", more: "map {path} {user_email} {\ndefault {nothing_set_this}\n}"},
		{name: "a map of no user", source: "{user_email}", more: "map {http.auth.user.id} {user_email} {\ndefault {http.auth.user.email}\n}"},
		{name: "a var of no user", source: "{http.vars.user_email}", more: "vars user_email {http.auth.user.email}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, placeholderSite(c.source, c.more))
			a := d.wantRejection(t, 401, "identity_missing", path, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "wonderland") })
			if strings.ContainsAny(strings.Trim(string(a.Body), "{}"), "{}") {
				t.Errorf("the response contains the literal text of a placeholder: %s", a.Body)
			}
			if strings.ContainsAny(fmt.Sprint(d.huma.Users()), "{}") && len(d.huma.Users()) > 0 {
				t.Errorf("users at Huma: %+v", d.huma.Users())
			}
		})
	}
	// These presets need an authentication handler, which the site does not have.
	for _, preset := range []string{"basic_auth", "caddy_security"} {
		d := open(t, "SITE {\nhuma_token {\nHUMA\nidentity "+preset+"\n}\n}")
		d.wantRejection(t, 401, "identity_missing", path)
	}
}
