package caddymodule_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// testSite is a site with the sandbox as its service.
type testSite struct {
	*site
	huma *fakeHuma
}

// open serves a Caddyfile. HUMA is replaced by the options of a huma_token that calls the
// sandbox for each request.
func open(t testing.TB, text string) *testSite {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	return &testSite{serve(t, fill(huma, text)), huma}
}

// fill replaces HUMA in a Caddyfile.
func fill(huma *fakeHuma, text string) string {
	return strings.ReplaceAll(text, "HUMA", huma.credentials()+"client_type ios\n cache off\n")
}

// at returns the same site with another URL.
func (d *testSite) at(url string) *testSite {
	s := *d.site
	s.URL = url
	return &testSite{&s, d.huma}
}

// wantRejection makes a request that must be rejected with an error, without a call to
// Huma.
func (d *testSite) wantRejection(t testing.TB, status int, code, target string, edit ...func(*http.Request)) *response {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	a.problem(t, status, code)
	d.wantNoCalls(t, before)
	return a
}

// wantNoToken makes a request that another handler must respond to, without a token and
// without a call to Huma.
func (d *testSite) wantNoToken(t testing.TB, status int, target string, edit ...func(*http.Request)) *response {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	if a.StatusCode != status || a.isToken() {
		t.Fatalf("status %d, want %d and no token: %s", a.StatusCode, status, a.Body)
	}
	d.wantNoCalls(t, before)
	return a
}

// wantNoCalls checks that Huma has received no calls since it had received before calls.
func (d *testSite) wantNoCalls(t testing.TB, before int) {
	t.Helper()
	if calls := d.huma.Calls().Calls; len(calls) != before {
		t.Errorf("calls at Huma: %+v", calls[before:])
	}
}

// wantTokenOf makes a request that must get the tokens of one user. Every call to Huma
// must be for exactly this address.
func (d *testSite) wantTokenOf(t testing.TB, email, target string, edit ...func(*http.Request)) *response {
	t.Helper()
	before := len(d.huma.Calls().Calls)
	a := d.request("GET", target, edit...)
	d.checkTokenOf(t, a, email, before)
	return a
}

// checkTokenOf checks that a response has the tokens of one user.
func (d *testSite) checkTokenOf(t testing.TB, a *response, email string, before int) {
	t.Helper()
	v := a.tokens(t)
	calls := d.huma.Calls().Calls[before:]
	if len(calls) == 0 {
		t.Errorf("Huma was not called for %q", email)
	}
	for _, c := range calls {
		if c.Email != email {
			t.Errorf("Huma was called for %q, want %q", c.Email, email)
		}
	}
	if u := d.user(t, email); u.UID != v.UID {
		t.Errorf("the token belongs to user %s, want %s of %q", v.UID, u.UID, email)
	}
}

// user returns Huma's account for an address.
func (d *testSite) user(t testing.TB, email string) sandbox.User {
	t.Helper()
	for _, u := range d.huma.Users() {
		if u.Email == email {
			return u
		}
	}
	t.Errorf("Huma has no user %q", email)
	return sandbox.User{}
}

// raw sends lines to the site and reads one response. SITE is replaced by the address. It
// is for requests that net/http's client does not send.
func (s *site) raw(t testing.TB, lines ...string) *response {
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
	method, _, _ := strings.Cut(lines[0], " ") // the response to HEAD has no body
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read the response to %q: %v", lines, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &response{res, body}
}

// rawGet returns the lines of a token request with further headers.
func rawGet(headers ...string) []string {
	return append([]string{"GET " + path + " HTTP/1.1", "Host: SITE", "Connection: close"}, headers...)
}

// notLogged checks that neither the log lines of this plugin nor the error messages of
// Caddy contain any of the texts. Other fields of Caddy contain whole requests.
func (s *site) notLogged(t testing.TB, texts ...string) {
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
				t.Errorf("the log contains %q: %s", text, line)
			}
		}
	}
}

// logLines returns the log lines that contain text.
func (s *site) logLines(text string) (found []string) {
	for line := range strings.SplitSeq(s.log(), "\n") {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// rejectedFor checks that the reason of the last rejection is in the log and not in the
// response.
func (s *site) rejectedFor(t testing.TB, a *response, why string) {
	t.Helper()
	found := s.logLines(`"msg":"request rejected"`)
	if len(found) == 0 || !strings.Contains(found[len(found)-1], why) {
		t.Errorf("the log does not contain %q: %q", why, found)
	}
	if strings.Contains(string(a.Body), why) {
		t.Errorf("the response contains the message for the operator: %s", a.Body)
	}
}

// warnedOnce checks that exactly one rejection with this reason was logged as a warning.
// The others are at debug level.
func (s *site) warnedOnce(t testing.TB, why string) {
	t.Helper()
	warned := 0
	for _, line := range s.logLines(`"msg":"request rejected"`) {
		if strings.Contains(line, why) && strings.Contains(line, `"level":"warn"`) {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("%d warnings with %q, want one: %s", warned, why, s.log())
	}
}

// warnings returns the messages of the plugin's warnings and errors that contain text,
// except "request rejected".
func (s *site) warnings(text string) (found []string) {
	for line := range strings.SplitSeq(s.log(), "\n") {
		var entry struct{ Level, Logger, Msg string }
		_ = json.Unmarshal([]byte(line), &entry)
		if strings.Contains(entry.Logger, "huma") && (entry.Level == "warn" || entry.Level == "error") && strings.Contains(entry.Msg, text) && entry.Msg != "request rejected" {
			found = append(found, entry.Msg)
		}
	}
	return found
}

// openEdited is like open, but edits the JSON of the server. It is for settings that a
// Caddyfile cannot express, or that conflict with the global options of these tests.
func openEdited(t testing.TB, text string, edit func(server map[string]any)) *testSite {
	t.Helper()
	huma := newHuma(t, sandbox.Config{})
	s := serve(t, "") // for its address, its log file and the cleanup
	config := editConfig(s, fill(huma, text), func(config map[string]any) {
		for _, server := range config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any) {
			edit(server.(map[string]any))
		}
	})
	if err := loadConfig(config); err != nil {
		t.Fatalf("load: %v", err)
	}
	return &testSite{s, huma}
}

// The following are sites and parts of sites.

// trustingSite trusts the header X-Test-User from loopback addresses.
const trustingSite = `SITE {
	huma_token {
		HUMA
		identity {
			email X-Test-User
		}
		trust proxies 127.0.0.1
	}
	respond "the application" 404
}`

// querySite takes the user from the query, by a placeholder. It is for values that a
// header cannot contain.
const querySite = `SITE {
	vars user_email {http.request.uri.query.e}
	huma_token {
		HUMA
		identity {
			email {http.vars.user_email}
		}
	}
}`

// query returns the target of a token request with a value in the query.
func query(value string) string { return path + "?e=" + url.QueryEscape(value) }

// placeholderSite takes the address from a placeholder that is not set.
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

// accounts is a basic_auth with alice@x.example and bob@x.example. Their password is
// wonderland.
const accounts = `basic_auth {
	alice@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
	bob@x.example $2a$04$.PHAZ.x6qNFPpNuAw5kU6.oPUtFK/b5dYzllf6EgITKl1Ip.c3Yly
}`

// password signs a request in with basic_auth.
func password(account string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(account, "wonderland") }
}
