package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// spoofs are what a client might send so as to be mallory@evil.example: the
// headers of every layer in all spellings, and what else could be mistaken.
func spoofs(email string, others ...string) map[string][]func(*http.Request) {
	const mallory = "mallory@evil.example"
	m := map[string][]func(*http.Request){
		"nothing":              nil,
		"its header":           {header(email, mallory)},
		"in small letters":     {header(strings.ToLower(email), mallory)},
		"in capitals":          {header(strings.ToUpper(email), mallory)},
		"twice":                {header(email, mallory), header(email, "second@evil.example")},
		"in two cases":         {header(strings.ToLower(email), mallory), header(strings.ToUpper(email), mallory)},
		"empty":                {header(email, "")},
		"with underscores":     {header(strings.ReplaceAll(email, "-", "_"), mallory)},
		"with one underscore":  {header(strings.Replace(email, "-", "_", 1), mallory)},
		"with dots":            {header(strings.ReplaceAll(email, "-", "."), mallory)},
		"as CGI has it":        {header("HTTP_"+strings.ToUpper(strings.ReplaceAll(email, "-", "_")), mallory)},
		"header and aliases":   {header(email, mallory), header(strings.ReplaceAll(email, "-", "_"), mallory), header(strings.ReplaceAll(email, "-", "."), mallory)},
		"as hop-by-hop":        {header("Connection", email), header(email, mallory)},
		"a placeholder's name": {header("Http.reverse_proxy.header."+email, mallory), header("http.auth.user.id", mallory), header("http.auth.user.email", mallory)},
		"a placeholder":        {header(email, "{http.request.header.X-Mallory}"), header("X-Mallory", mallory)},
		"the query":            {func(r *http.Request) { r.URL.RawQuery += "&email=" + mallory + "&" + email + "=" + mallory }},
		"a cookie":             {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: email, Value: mallory}) }},
		"as a trusted proxy":   {header(email, mallory), header("X-Forwarded-For", "127.0.0.1"), header("Forwarded", "for=127.0.0.1"), header("X-Real-Ip", "127.0.0.1")},
		"a rewritten target":   {header(email, mallory), header("X-Original-Url", "/"), header("X-Rewrite-Url", "/"), header("X-Forwarded-Uri", "/"), header("X-Forwarded-Method", "OPTIONS")},
		"a bearer token":       {header(email, mallory), header("X-Auth-Token", mallory), header("X-Forwarded-Access-Token", mallory)},
	}
	var everything []func(*http.Request)
	for _, p := range headerPresets {
		for _, name := range p.own() {
			everything = append(everything, header(name, mallory))
		}
	}
	for _, name := range []string{"X-Forwarded-Email", "X-Forwarded-User", "X-Auth-Email", "X-Pomerium-Claim-Email", "X-Vouch-User", "X-User", "Remote-User", "From", "X-Token-User-Email"} {
		everything = append(everything, header(name, mallory))
	}
	m["the headers of every layer"] = everything
	for _, name := range others {
		m["its "+name] = []func(*http.Request){header(name, mallory)}
	}
	return m
}

// Whatever a client sends, it is the user of the layer or nobody.
func TestSpoofHeaders(t *testing.T) {
	for _, p := range headerPresets {
		t.Run(p.name, func(t *testing.T) {
			p.behind(t, func(t *testing.T, d *desk, l *layer, _ bool) {
				for name, edits := range spoofs(p.email, p.others...) {
					t.Run(name, func(t *testing.T) {
						l.saysWith(p.status, p.ada)
						d.granted(t, "ada@x.example", path+"?x=1", edits...)
						l.saysWith(p.status, p.with("bob@x.example"))
						d.granted(t, "bob@x.example", path+"?x=1", edits...)
						l.saysWith(p.status, p.with())
						d.refused(t, 401, "identity_missing", path+"?x=1", edits...)
						l.saysWith(p.status, nil)
						d.refused(t, 401, "identity_missing", path+"?x=1", edits...)
					})
				}
				onlyTheirs(t, d, "ada@x.example", "bob@x.example")
				d.quiet(t, "@x.example", "@evil.example")
			})
		})
	}
}

// onlyTheirs checks that Huma knows these users and no others.
func onlyTheirs(t testing.TB, d *desk, emails ...string) {
	t.Helper()
	for _, email := range emails {
		d.user(t, email)
	}
	if users := d.huma.Users(); len(users) != len(emails) {
		t.Errorf("users at Huma %+v, want %v", users, emails)
	}
}

func TestSpoofBasicAuth(t *testing.T) {
	d := open(t, "SITE {\n"+accounts+"\nhuma_token {\nHUMA\nidentity basic_auth\n}\n}")
	for name, edits := range spoofs("Remote-User") {
		t.Run(name, func(t *testing.T) {
			for _, account := range []string{"alice@x.example", "bob@x.example"} {
				d.granted(t, account, path+"?x=1", append(edits, password(account))...)
			}
			d.stopped(t, 401, path+"?x=1", edits...)
			d.stopped(t, 401, path+"?x=1", append(edits, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "") })...)
		})
	}
	onlyTheirs(t, d, "alice@x.example", "bob@x.example")
	d.quiet(t, "@x.example", "@evil.example")
}

func TestSpoofCaddySecurity(t *testing.T) {
	d := open(t, portalSite)
	for name, edits := range spoofs("X-Token-User-Email", "X-Token-Subject", "X-Token-User-Name", "X-Token-User-Roles") {
		t.Run(name, func(t *testing.T) {
			d.granted(t, "ada@x.example", path+"?x=1", append(edits, session("ada"))...)
			d.granted(t, "bob@x.example", path+"?x=1", append(edits, session("bob"))...)
			for _, nobody := range []string{"bypass", "without", "empty"} {
				d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, session(nobody))...)
			}
			d.stopped(t, 401, path+"?x=1", edits...)
		})
	}
	onlyTheirs(t, d, "ada@x.example", "bob@x.example")
	d.quiet(t, "@x.example", "@evil.example")
}
