package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

func TestI08_PlaceholdersInValues(t *testing.T) {
	const secret, victim = "a-secret-of-the-process", "victim@x.example"
	dir := t.TempDir()
	secretFile, victimFile := filepath.Join(dir, "secret"), filepath.Join(dir, "victim")
	for name, text := range map[string]string{secretFile: secret, victimFile: victim} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("I08_SECRET", secret)
	t.Setenv("I08_VICTIM", victim)
	// Some would be valid addresses if they were expanded.
	values := []string{
		"{env.I08_SECRET}@x.example", "{file." + secretFile + "}@x.example", "{file./etc/passwd}", "{env.I08_VICTIM}",
		"{file." + victimFile + "}", "{$I08_VICTIM}", "a@{env.I08_SECRET}.example", "{http.request.header.X-Victim}",
		"{http.request.host}@x.example", `\{env.I08_VICTIM\}`, "{{env.I08_VICTIM}}", "{env.I08_VICTIM", "env.I08_VICTIM}",
		"{user_email}", "{http.vars.user_email}", "${env.I08_VICTIM}", "{{placeholder `env.I08_VICTIM`}}",
	}
	layer := newLayer(t)
	for _, c := range []struct {
		name      string
		caddyfile string
		send      func(value string) (target string, edit func(*http.Request))
	}{
		{"a header", trustingSite, func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"vars", querySite, func(v string) (string, func(*http.Request)) { return query(v), as("") }},
		{"vars of a header", placeholderSite("{http.vars.user_email}", "vars user_email {http.request.header.X-Test-User}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"a map of a variable", placeholderSite("{user_email}", "vars {\na {http.request.header.X-Test-User}\n}\nmap {path} {user_email} {\ndefault {http.vars.a}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"a map's default", placeholderSite("{user_email}", "map {path} {user_email} {\ndefault {http.request.header.X-Test-User}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"a map's output", placeholderSite("{user_email}", "map {path} {user_email} {\n"+path+" {http.request.header.X-Test-User}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"a map's expression", placeholderSite("{user_email}", "map {http.request.header.X-Test-User} {user_email} {\n~(?s)^(.*)$ ${1}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		{"an auth server's response", forwardAuth(layer, "", "identity authelia"), func(v string) (string, func(*http.Request)) {
			layer.setHeaders(http.Header{"Remote-Email": {v}})
			return path, as("")
		}},
		{"an auth server's response, copied", forwardAuth(layer, "copy_headers Remote-Email", "identity authelia"), func(v string) (string, func(*http.Request)) {
			layer.setHeaders(http.Header{"Remote-Email": {v}})
			return path, as("")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, c.caddyfile)
			for _, v := range values {
				target, edit := c.send(v)
				a := d.wantRejection(t, 401, "identity_invalid", target, edit, header("X-Victim", victim))
				if text := fmt.Sprint(string(a.Body), a.Header); strings.Contains(text, secret) || strings.Contains(text, victim) || strings.Contains(text, "root:") {
					t.Errorf("%s: the response contains a forbidden value: %s", v, text)
				}
			}
			d.noSecretsInLog(secret, "root:x")
			d.notLogged(t, victim, "I08_", "@x.example")
			target, edit := c.send("right@x.example")
			d.wantTokenOf(t, "right@x.example", target, edit)
		})
	}
}

// malformed holds values that are not exactly one plain address.
var malformed = []string{
	"Alice <a@x.example>", "<a@x.example>", "a@evil.example@x.example", `"a@evil.example"@x.example`, "a@x.example (c)", "(c)a@x.example",
	"a b@x.example", "a@x. example", "a@@x.example", "@x.example", "a@", "@", "a", "x.example", "mailto:a@x.example", "accounts.google.com:a@x.example",
	"a@x.example;b", "a:b@x.example", "a@[127.0.0.1]:25", "a,b@x.example", `a"b@x.example`, "a@x.example>", "{a@x.example}", "a@x.example}",
	"a\u200b@x.example", "a@x.example\u200b", "\ufeffa@x.example", "a\u00ad@x.example", "a\u202e@x.example", "a@x\u2060.example", "a\u00a0@x.example",
	"a\u3000@x.example", "a\u2028@x.example", "a\u180e@x.example", "a\ufe0f@x.example", "a\U000e0041@x.example", "a\u034f@x.example", "a\u115f@x.example",
	"a\ufffd@x.example", "a\xff@x.example", "a\xc0\x80@x.example", "a\xed\xa0\x80@x.example", "\xe9@x.example", "a@x.example\xf0\x9f",
	strings.Repeat("a", 255-len("@x.example")) + "@x.example", strings.Repeat("a", 8000) + "@x.example",
	"null", "undefined", "-", "anonymous", "0", "true",
}

func TestI09_NoPlainAddress(t *testing.T) {
	d := open(t, `SITE {
		vars user_email {http.request.uri.query.e}
		huma_token {
			HUMA
			identity {
				email {http.vars.user_email}
			}
		}
		huma_token /header {
			HUMA
			identity {
				email X-Test-User
			}
			trust proxies 127.0.0.1
		}
	}`)
	for _, value := range malformed {
		d.wantRejection(t, 401, "identity_invalid", "/header", as(value))
		if len(value) < 1000 {
			d.wantRejection(t, 401, "identity_invalid", query(value))
		}
	}
	// These contain bytes that a header cannot contain, or that are trimmed from it.
	for _, c := range []string{"\x00", "\r", "\n", "\r\n", "\x7f", "\t", " ", "\x1b", "\x01", "\u0085", "\v", "\f"} {
		for _, value := range []string{"a" + c + "@x.example", "a@x.example" + c, c + "a@x.example", "a@x" + c + ".example", "a@x.example" + c + "b@x.example"} {
			if strings.Trim(value, " \t") != "a@x.example" {
				d.wantRejection(t, 401, "identity_invalid", query(value))
			}
		}
	}
	for _, value := range []string{" a@x.example", "a@x.example\t", "\t  a@x.example \t"} {
		d.wantTokenOf(t, "a@x.example", query(value))
	}
	// These are the longest valid address, and unusual but valid ones.
	for _, value := range []string{
		strings.Repeat("a", 254-len("@x.example")) + "@x.example",
		"a+b@x.example", "a.b-c_d!#$%&'*/=?^`|~@x.example", "zoë@exämple.example", "用户@例子.example", "a@localhost", "007@x.example",
	} {
		d.wantTokenOf(t, value, "/header", as(value))
		d.wantTokenOf(t, value, query(value))
	}
	d.notLogged(t, "@x.example", "@evil.example", "@exämple.example")
}

func TestI10_EqualAddresses(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	d := &testSite{serve(t, strings.Replace(fill(huma, trustingSite), "cache off", "", 1)), huma}
	distinct := []string{
		"Kelvin@x.example", "\u212aelvin@x.example", // the Kelvin sign folds to k
		"\u0130vy@x.example", "ivy@x.example", "\u0131vy@x.example", "i\u0307vy@x.example", // dotted, dotless, composed
		"ａ@x.example", "Ａ@x.example", "a@x.example", // full width
		"\u017fam@x.example", "sam@x.example", // the long s folds to s
		"ß@x.example", "ss@x.example", "ẞ@x.example", "é@x.example", "É@x.example", "e\u0301@x.example",
		"а@x.example", // Cyrillic
	}
	uids := make(map[string]string)
	for _, email := range distinct {
		uid := d.request("GET", path, as(email)).tokens(t).UID
		if before, taken := uids[uid]; taken {
			t.Errorf("%q has the same token as %q", email, before)
		}
		uids[uid] = email
		if d.user(t, email).UID != uid {
			t.Errorf("%q has the token of another user", email)
		}
	}
	// ASCII letters are compared case-insensitively: no call is made, and the token is
	// the same.
	before := len(d.huma.Calls().Calls)
	for of, same := range map[string][]string{
		"Kelvin@x.example": {"kelvin@x.example", "KELVIN@X.EXAMPLE", "kELVIN@x.Example"},
		"a@x.example":      {"A@X.example", "A@x.EXAMPLE"},
		"é@x.example":      {"é@X.EXAMPLE"},
	} {
		token := d.request("GET", path, as(of)).tokens(t).AuthToken
		for _, email := range same {
			if d.request("GET", path, as(email)).tokens(t).AuthToken != token {
				t.Errorf("%q does not have the token of %q", email, of)
			}
		}
	}
	d.wantNoCalls(t, before)
	if n := len(d.huma.Users()); n != len(distinct) {
		t.Errorf("%d users at Huma, want %d", n, len(distinct))
	}
	// Huma receives the address as it is in the request.
	d.request("DELETE", path, as("a@x.example"))
	before = len(d.huma.Calls().Calls)
	d.request("GET", path, as("A@X.example")).tokens(t)
	if calls := d.huma.Calls().Calls[before:]; len(calls) != 1 || calls[0].Op != "signin" || calls[0].Email != "A@X.example" {
		t.Errorf("calls at Huma: %+v", calls)
	}
	d.notLogged(t, "@x.example", "@X.example")
}
