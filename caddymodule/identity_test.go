package caddymodule_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// A request is somebody's or it is refused: these are the wrong inputs, one
// test each.

// desk is a site with the sandbox behind it.
type desk struct {
	*site
	huma *fakeHuma
}

// open serves a Caddyfile, in which HUMA stands for the options of a
// huma_token that asks the sandbox each time.
func open(t testing.TB, text string) *desk {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	return &desk{serve(t, fill(huma, text)), huma}
}

// fill puts the options into a Caddyfile.
func fill(huma *fakeHuma, text string) string {
	return strings.ReplaceAll(text, "HUMA", huma.credentials()+"client_type ios\n cache off\n")
}

// at is the same desk, reached over another address.
func (d *desk) at(url string) *desk {
	s := *d.site
	s.URL = url
	return &desk{&s, d.huma}
}

// refused makes a request that is answered with an error and never gets to
// Huma.
func (d *desk) refused(t testing.TB, status int, code, target string, edit ...func(*http.Request)) *answer {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	a.problem(t, status, code)
	d.untouched(t, before)
	return a
}

// stopped makes a request that somebody else answers, without Huma.
func (d *desk) stopped(t testing.TB, status int, target string, edit ...func(*http.Request)) *answer {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	if a.StatusCode != status || strings.Contains(string(a.Body), "authToken") {
		t.Fatalf("status %d, want %d and no token: %s", a.StatusCode, status, a.Body)
	}
	d.untouched(t, before)
	return a
}

// untouched checks that Huma has seen no calls since there were so many.
func (d *desk) untouched(t testing.TB, before int) {
	t.Helper()
	if calls := d.huma.Calls().Calls; len(calls) != before {
		t.Errorf("calls at Huma: %+v", calls[before:])
	}
}

// granted makes a request whose answer is the tokens of one user, and of
// nobody else: Huma is asked for exactly this address.
func (d *desk) granted(t testing.TB, email, target string, edit ...func(*http.Request)) *answer {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	d.isOf(t, a, email, before)
	return a
}

// isOf checks that an answer is the tokens of one user.
func (d *desk) isOf(t testing.TB, a *answer, email string, before int) {
	t.Helper()
	v := a.tokens(t)
	calls := d.huma.Calls().Calls[before:]
	if len(calls) == 0 {
		t.Errorf("Huma was not asked for %q", email)
	}
	for _, c := range calls {
		if c.Email != email {
			t.Errorf("Huma was asked for %q, want %q", c.Email, email)
		}
	}
	if u := d.user(t, email); u.UID != v.UID {
		t.Errorf("the token is of user %s, want %s of %q", v.UID, u.UID, email)
	}
}

// user is the account of an address at Huma.
func (d *desk) user(t testing.TB, email string) sandbox.User {
	t.Helper()
	for _, u := range d.huma.Users() {
		if u.Email == email {
			return u
		}
	}
	t.Errorf("%q is no user of Huma", email)
	return sandbox.User{}
}

// raw sends lines to the site, in which SITE stands for its address, and reads
// one answer: for requests that net/http's client would not send.
func (s *site) raw(t testing.TB, lines ...string) *answer {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, strings.ReplaceAll(strings.Join(lines, "\r\n"), "SITE", s.address)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ") // an answer to HEAD has no body
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read the answer to %q: %v", lines, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{res, body}
}

// get are the lines of a raw request of the token, with these headers.
func get(headers ...string) []string {
	return append([]string{"GET " + path + " HTTP/1.1", "Host: SITE", "Connection: close"}, headers...)
}

// quiet checks that none of the texts stands in what is logged by us, or as
// the message of an error by Caddy. (Its other fields hold whole requests.)
func (s *site) quiet(t testing.TB, texts ...string) {
	t.Helper()
	for line := range strings.SplitSeq(s.log(), "\n") {
		var entry struct{ Logger, Msg string }
		_ = json.Unmarshal([]byte(line), &entry)
		ours := line
		if !strings.Contains(entry.Logger, "huma") {
			ours = entry.Msg
		}
		for _, text := range texts {
			if strings.Contains(ours, text) {
				t.Errorf("the log holds %q: %s", text, line)
			}
		}
	}
}

// warnings are the messages of our warnings and errors that contain text.
func (s *site) warnings(text string) (found []string) {
	for line := range strings.SplitSeq(s.log(), "\n") {
		var entry struct{ Level, Logger, Msg string }
		_ = json.Unmarshal([]byte(line), &entry)
		if strings.Contains(entry.Logger, "huma") && (entry.Level == "warn" || entry.Level == "error") && strings.Contains(entry.Msg, text) {
			found = append(found, entry.Msg)
		}
	}
	return found
}

// trusting is a site that believes X-Test-User from loopback.
const trusting = `SITE {
	huma_token {
		HUMA
		identity {
			email X-Test-User
		}
		trust proxies 127.0.0.1
	}
	respond "the application" 404
}`

// viaVars is a site whose users come in a placeholder that holds whatever the
// query says: the way to deliver what no header can hold.
const viaVars = `SITE {
	vars user_email {http.request.uri.query.e}
	huma_token {
		HUMA
		identity {
			email {http.vars.user_email}
		}
	}
}`

// query asks for the token with a value in the query, byte for byte.
func query(value string) string { return path + "?e=" + url.QueryEscape(value) }

func TestI01_NoValue(t *testing.T) {
	d := open(t, trusting)
	d.refused(t, 401, "identity_missing", path)
	for _, blank := range []string{"", " ", "\t", " \t  "} {
		d.refused(t, 401, "identity_missing", path, as(blank))
	}
	// Blanks that the server cannot trim, since they come in a placeholder.
	v := open(t, viaVars)
	v.refused(t, 401, "identity_missing", path)
	for _, blank := range []string{"", " ", "\t \r\n", "\u00a0", "\u2003"} {
		v.refused(t, 401, "identity_missing", query(blank))
	}
	v.granted(t, "a@x.example", query("a@x.example")) // the site does work
	v.quiet(t, "@x.example")
}

func TestI02_MoreThanOne(t *testing.T) {
	d := open(t, trusting)
	d.granted(t, "a@x.example", path, as("a@x.example"))
	for name, c := range map[string]struct {
		code    string
		headers []string
	}{
		"two lines":              {"identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: b@x.example"}},
		"the same twice":         {"identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: a@x.example"}},
		"two spellings":          {"identity_ambiguous", []string{"X-Test-User: a@x.example", "x-TEST-user: b@x.example"}},
		"first empty":            {"identity_ambiguous", []string{"X-Test-User:", "X-Test-User: b@x.example"}},
		"second empty":           {"identity_ambiguous", []string{"X-Test-User: a@x.example", "X-Test-User: "}},
		"far apart":              {"identity_ambiguous", []string{"X-Test-User: a@x.example", "Accept: */*", "X-Test-User: b@x.example"}},
		"a comma list":           {"identity_invalid", []string{"X-Test-User: a@x.example, b@x.example"}},
		"a comma list of one":    {"identity_invalid", []string{"X-Test-User: a@x.example,"}},
		"a semicolon list":       {"identity_invalid", []string{"X-Test-User: a@x.example;b@x.example"}},
		"split by a bare LF":     {"identity_ambiguous", []string{"X-Test-User: a@x.example\nX-Test-User: b@x.example"}},
		"a folded list":          {"identity_invalid", []string{"X-Test-User: a@x.example\r\n b@x.example"}},
		"folded after a comma":   {"identity_invalid", []string{"X-Test-User: a@x.example,\r\n\tb@x.example"}},
		"an address in a fold":   {"identity_invalid", []string{"X-Test-User: a@x.ex\r\n ample"}},
		"a fold of another line": {"identity_missing", []string{"X-Other: 1\r\n X-Test-User: a@x.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(d.huma.Calls().Calls)
			d.raw(t, get(c.headers...)...).problem(t, 401, c.code)
			d.untouched(t, before)
		})
	}
	// What is no HTTP any more ends before the handler.
	for name, header := range map[string]string{
		"a bare CR":        "X-Test-User: a@x.example\rX-Test-User: b@x.example",
		"a space in front": "X-Test-User : a@x.example",
		"NUL":              "X-Test-User: a\x00@x.example",
		"DEL":              "X-Test-User: a\x7f@x.example",
		"ESC":              "X-Test-User: \x1ba@x.example",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(d.huma.Calls().Calls)
			if a := d.raw(t, get(header)...); a.StatusCode != 400 {
				t.Errorf("status %d, want 400: %s", a.StatusCode, a.Body)
			}
			d.untouched(t, before)
		})
	}
	d.quiet(t, "@x.example")
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
		d.refused(t, 401, "identity_missing", path, header(alias, "a@x.example"))
		// Beside the right one it changes nothing.
		d.granted(t, "right@x.example", path, header("X-Forwarded-Email", "right@x.example"), header(alias, "a@x.example"))
	}
	// In HTTP the case of a name means nothing: these are the header itself.
	for _, same := range []string{"x-forwarded-email", "X-FORWARDED-EMAIL", "x-Forwarded-eMAIL"} {
		d.granted(t, "a@x.example", path, header(same, "a@x.example"))
	}
	// A trailer is no header.
	before := len(d.huma.Calls().Calls)
	d.raw(t, "POST "+path+" HTTP/1.1", "Host: SITE", "Connection: close", "Transfer-Encoding: chunked",
		"Trailer: X-Forwarded-Email", "", "0", "X-Forwarded-Email: a@x.example").problem(t, 401, "identity_missing")
	d.untouched(t, before)
	d.quiet(t, "@x.example")
}

// placeholderSite reads the address from a placeholder that nothing sets.
func placeholderSite(source, more string) string {
	return `SITE {
		` + more + `
		huma_token {
			HUMA
			identity {
				email ` + source + `
				name ` + source + `
			}
		}
	}`
}

func TestI07_NothingSetThePlaceholder(t *testing.T) {
	for name, c := range map[string]struct{ source, more string }{
		"a name of nobody's":     {source: "{user_email}"},
		"a variable":             {source: "{http.vars.user_email}"},
		"a variable with a dot":  {source: "{http.vars.user.email}"},
		"no authentication":      {source: "{http.auth.user.email}"},
		"no metadata":            {source: "{http.auth.user.email}", more: accounts},
		"no auth server":         {source: "{http.reverse_proxy.header.Remote-Email}"},
		"no auth server, alias":  {source: "{http.reverse_proxy.header.remote-email}"},
		"an empty map":           {source: "{user_email}", more: "map {path} {user_email} {\n/other other@x.example\n}"},
		"a map of another name":  {source: "{user_email}", more: "map {path} {user_name} {\ndefault a@x.example\n}"},
		"a map to a placeholder": {source: "{user_email}", more: "map {path} {user_email} {\ndefault {nothing_set_this}\n}"},
		"a map of no user":       {source: "{user_email}", more: "map {http.auth.user.id} {user_email} {\ndefault {http.auth.user.email}\n}"},
		"a var of no user":       {source: "{http.vars.user_email}", more: "vars user_email {http.auth.user.email}"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, placeholderSite(c.source, c.more))
			a := d.refused(t, 401, "identity_missing", path, func(r *http.Request) { r.SetBasicAuth("alice@x.example", "wonderland") })
			if strings.ContainsAny(strings.Trim(string(a.Body), "{}"), "{}") {
				t.Errorf("a placeholder's literal text in the answer: %s", a.Body)
			}
			if strings.ContainsAny(fmt.Sprint(d.huma.Users()), "{}") && len(d.huma.Users()) > 0 {
				t.Errorf("users at Huma: %+v", d.huma.Users())
			}
		})
	}
	// A preset that needs an authentication which is not there.
	for _, preset := range []string{"basic_auth", "caddy_security"} {
		d := open(t, "SITE {\nhuma_token {\nHUMA\nidentity "+preset+"\n}\n}")
		d.refused(t, 401, "identity_missing", path)
	}
}

// accounts is a basic_auth with alice@x.example and bob@x.example, whose
// password is wonderland.
const accounts = `basic_auth {
	alice@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
	bob@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
}`

// password signs a request in at accounts.
func password(account string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(account, "wonderland") }
}

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
	for name, c := range map[string]struct {
		caddyfile string
		send      func(value string) (target string, edit func(*http.Request))
	}{
		"a header": {trusting, func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"vars":     {viaVars, func(v string) (string, func(*http.Request)) { return query(v), as("") }},
		"vars of a header": {placeholderSite("{http.vars.user_email}", "vars user_email {http.request.header.X-Test-User}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"a map of a variable": {placeholderSite("{user_email}", "vars {\na {http.request.header.X-Test-User}\n}\nmap {path} {user_email} {\ndefault {http.vars.a}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"a map's default": {placeholderSite("{user_email}", "map {path} {user_email} {\ndefault {http.request.header.X-Test-User}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"a map's output": {placeholderSite("{user_email}", "map {path} {user_email} {\n"+path+" {http.request.header.X-Test-User}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"a map's expression": {placeholderSite("{user_email}", "map {http.request.header.X-Test-User} {user_email} {\n~(?s)^(.*)$ ${1}\n}"),
			func(v string) (string, func(*http.Request)) { return path, as(v) }},
		"an auth server's answer": {forwardAuth(layer, "", "identity authelia"), func(v string) (string, func(*http.Request)) {
			layer.says(http.Header{"Remote-Email": {v}})
			return path, as("")
		}},
		"an auth server's answer, copied": {forwardAuth(layer, "copy_headers Remote-Email", "identity authelia"), func(v string) (string, func(*http.Request)) {
			layer.says(http.Header{"Remote-Email": {v}})
			return path, as("")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.caddyfile)
			for _, v := range values {
				target, edit := c.send(v)
				a := d.refused(t, 401, "identity_invalid", target, edit, header("X-Victim", victim))
				if text := fmt.Sprint(string(a.Body), a.Header); strings.Contains(text, secret) || strings.Contains(text, victim) || strings.Contains(text, "root:") {
					t.Errorf("%s: the answer holds what it should not: %s", v, text)
				}
			}
			d.noSecretsInLog(secret, "root:x")
			d.quiet(t, victim, "I08_", "@x.example")
			target, edit := c.send("right@x.example")
			d.granted(t, "right@x.example", target, edit)
		})
	}
}

// malformed are values that are not one plain address.
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
		d.refused(t, 401, "identity_invalid", "/header", as(value))
		if len(value) < 1000 {
			d.refused(t, 401, "identity_invalid", query(value))
		}
	}
	// What no header can hold, and what a header is trimmed of.
	for _, c := range []string{"\x00", "\r", "\n", "\r\n", "\x7f", "\t", " ", "\x1b", "\x01", "\u0085", "\v", "\f"} {
		for _, value := range []string{"a" + c + "@x.example", "a@x.example" + c, c + "a@x.example", "a@x" + c + ".example", "a@x.example" + c + "b@x.example"} {
			d.refused(t, 401, "identity_invalid", query(value))
		}
	}
	// The longest there may be, and odd ones that are plain all the same.
	for _, value := range []string{
		strings.Repeat("a", 254-len("@x.example")) + "@x.example",
		"a+b@x.example", "a.b-c_d!#$%&'*/=?^`|~@x.example", "zoë@exämple.example", "用户@例子.example", "a@localhost", "007@x.example",
	} {
		d.granted(t, value, "/header", as(value))
		d.granted(t, value, query(value))
	}
	d.quiet(t, "@x.example", "@evil.example", "@exämple.example")
}

func TestI10_WhoIsTheSame(t *testing.T) {
	huma := newHuma(t, sandbox.Config{})
	d := &desk{serve(t, strings.Replace(fill(huma, trusting), "cache off", "", 1)), huma}
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
			t.Errorf("%q is the same user as %q", email, before)
		}
		uids[uid] = email
		if d.user(t, email).UID != uid {
			t.Errorf("%q has the token of somebody else", email)
		}
	}
	// The case of ASCII letters is no difference: no call, the same token.
	before := len(d.huma.Calls().Calls)
	for of, same := range map[string][]string{
		"Kelvin@x.example": {"kelvin@x.example", "KELVIN@X.EXAMPLE", "kELVIN@x.Example"},
		"a@x.example":      {"A@X.example", "A@x.EXAMPLE"},
		"é@x.example":      {"é@X.EXAMPLE"},
	} {
		token := d.request("GET", path, as(of)).tokens(t).AuthToken
		for _, email := range same {
			if d.request("GET", path, as(email)).tokens(t).AuthToken != token {
				t.Errorf("%q is another user than %q", email, of)
			}
		}
	}
	d.untouched(t, before)
	if n := len(d.huma.Users()); n != len(distinct) {
		t.Errorf("%d users at Huma, want %d", n, len(distinct))
	}
	// Huma is sent the address as it came.
	d.request("DELETE", path, as("a@x.example"))
	before = len(d.huma.Calls().Calls)
	d.request("GET", path, as("A@X.example")).tokens(t)
	if calls := d.huma.Calls().Calls[before:]; len(calls) != 1 || calls[0].Op != "signin" || calls[0].Email != "A@X.example" {
		t.Errorf("calls at Huma: %+v", calls)
	}
	d.quiet(t, "@x.example", "@X.example")
}
