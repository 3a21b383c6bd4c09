package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// TestUserinfo: whoever is signed in at the application is at the endpoint too,
// with nothing but the directive in front of it.
func TestUserinfo(t *testing.T) {
	d, p := openApplication(t, "")
	d.refused(t, 401, "identity_missing", path)

	// The cookie comes from the application itself, through this site.
	signed := d.request("POST", "/login", func(r *http.Request) { r.URL.RawQuery = "email=ada@x.example" })
	if len(signed.Cookies()) != 1 {
		t.Fatalf("signing in: %d %v", signed.StatusCode, signed.Header)
	}
	d.granted(t, "ada@x.example", path, func(r *http.Request) { r.AddCookie(signed.Cookies()[0]) })
	attributes, _ := d.user(t, "ada@x.example").Profile["userAttributes"].(map[string]any)
	if attributes["givenName"] != "Zoë" || attributes["familyName"] != "Ångström" {
		t.Errorf("Huma knows %q", attributes)
	}

	grace, bob := p.signIn("Grace@X.example"), p.signIn("bob@x.example")
	d.granted(t, "Grace@X.example", path, bearer(grace)) // as the application has it
	d.granted(t, "bob@x.example", path, cookie(bob))
	d.granted(t, "bob@x.example", path, bearer(bob), cookie(grace)) // the application decides which of them counts
	a := d.request("POST", iosPath, cookie(bob))
	a.tokens(t)
	for _, nobody := range []string{"CANARY-unknown", "", "x; sid=" + grace + "x"} {
		d.refused(t, 401, "identity_missing", path, cookie(nobody))
		d.refused(t, 401, "identity_missing", path, bearer(nobody))
	}
	p.signOut(bob)
	d.refused(t, 401, "identity_missing", path, cookie(bob))
	// Headers of layers are nothing to it.
	for _, name := range []string{"X-User", "Remote-Email", "X-Forwarded-Email", "X-Auth-Request-Email"} {
		d.refused(t, 401, "identity_missing", path, header(name, "mallory@evil.example"))
		d.granted(t, "Grace@X.example", path, header(name, "mallory@evil.example"), bearer(grace))
	}
	if w := d.warnings(""); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	d.hushed(t)
}

// TestUserinfoAnswers: an application that says nobody is signed in is not one
// that cannot say.
func TestUserinfoAnswers(t *testing.T) {
	d, p := openApplication(t, "")
	ada := p.signIn("ada@x.example")
	const unavailable = "userinfo_unavailable"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   string // or the user
	}{
		"signed in":                  {nil, "ada@x.example"},
		"of another type":            {says(200, `{"user":{"email":"ada@x.example"}}`), "ada@x.example"},
		"a list of one":              {says(200, `{"user":[{"email":"ada@x.example"}]}`), "identity_missing"},
		"an address in a list":       {says(200, `{"user":{"email":["ada@x.example"]}}`), "ada@x.example"},
		"verified, it says":          {says(200, `{"user":{"email":"ada@x.example","email_verified":true}}`), "ada@x.example"},
		"401":                        {says(401, `{"user":{"email":"ada@x.example"}}`), "identity_missing"},
		"403":                        {says(403, "CANARY"), "identity_missing"},
		"401 and a page":             {says(401, "<html>CANARY"), "identity_missing"},
		"an empty object":            {says(200, `{}`), "identity_missing"},
		"an empty list":              {says(200, `[]`), "identity_missing"},
		"null":                       {says(200, `null`), "identity_missing"},
		"no user":                    {says(200, `{"user":null}`), "identity_missing"},
		"a user without address":     {says(200, `{"user":{"id":7,"mail":"ada@x.example"}}`), "identity_missing"},
		"an address elsewhere":       {says(200, `{"email":"ada@x.example"}`), "identity_missing"},
		"an address of null":         {says(200, `{"user":{"email":null}}`), "identity_missing"},
		"an empty address":           {says(200, `{"user":{"email":""}}`), "identity_missing"},
		"a blank address":            {says(200, `{"user":{"email":"  "}}`), "identity_missing"},
		"a user that is a text":      {says(200, `{"user":"ada@x.example"}`), "identity_missing"},
		"a number":                   {says(200, `{"user":{"email":7}}`), "identity_invalid"},
		"a boolean":                  {says(200, `{"user":{"email":true}}`), "identity_invalid"},
		"an object":                  {says(200, `{"user":{"email":{"address":"ada@x.example"}}}`), "identity_invalid"},
		"two addresses":              {says(200, `{"user":{"email":["ada@x.example","bob@x.example"]}}`), "identity_invalid"},
		"two in a text":              {says(200, `{"user":{"email":"ada@x.example, bob@x.example"}}`), "identity_invalid"},
		"a display name":             {says(200, `{"user":{"email":"Ada <ada@x.example>"}}`), "identity_invalid"},
		"a login":                    {says(200, `{"user":{"email":"ada"}}`), "identity_invalid"},
		"a placeholder":              {says(200, `{"user":{"email":"{env.HOME}@x.example"}}`), "identity_invalid"},
		"not verified":               {says(200, `{"user":{"email":"ada@x.example","email_verified":false}}`), "email_unverified"},
		"not verified, in camels":    {says(200, `{"user":{"email":"ada@x.example","emailVerified":false}}`), "email_unverified"},
		"a page":                     {says(200, "<!doctype html><title>CANARY</title>"), unavailable},
		"nothing":                    {says(200, ""), unavailable},
		"a text":                     {says(200, `"ada@x.example"`), unavailable},
		"half an object":             {says(200, `{"user":{"email":"ada@x.example"`), unavailable},
		"two objects":                {says(200, `{"user":{"email":"ada@x.example"}}{"user":{"email":"bob@x.example"}}`), unavailable},
		"an address twice":           {says(200, `{"user":{"email":"ada@x.example","email":"bob@x.example"}}`), unavailable},
		"300 KiB":                    {says(200, `{"user":{"email":"ada@x.example","x":"`+strings.Repeat("x", 300<<10)+`"}}`), unavailable},
		"201":                        {says(201, `{"user":{"email":"ada@x.example"}}`), unavailable},
		"204":                        {says(204, ""), unavailable},
		"a redirect to the login":    {says(302, ""), unavailable},
		"a redirect, with an answer": {says(307, `{"user":{"email":"ada@x.example"}}`), unavailable},
		"not modified":               {says(304, ""), unavailable},
		"400":                        {says(400, "CANARY"), unavailable},
		"404":                        {says(404, "CANARY"), unavailable},
		"429":                        {says(429, "CANARY"), unavailable},
		"500":                        {says(500, `{"user":{"email":"ada@x.example"}}`), unavailable},
		"503":                        {says(503, "CANARY"), unavailable},
		"a connection that breaks":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unavailable},
		"one that breaks halfway": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"user":{"email":"ada@x.example"}}`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, unavailable},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `{"user":{"email":"ada@x.example"}}`)
		}, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p.answers(c.answer)
			before := len(p.requests())
			a := (*answer)(nil)
			switch {
			case strings.Contains(c.code, "@"):
				a = d.granted(t, c.code, path, cookie(ada))
			case c.code == unavailable:
				a = d.refused(t, 503, c.code, path, cookie(ada))
			case c.code == "email_unverified":
				a = d.refused(t, 403, c.code, path, cookie(ada))
			default:
				a = d.refused(t, 401, c.code, path, cookie(ada))
			}
			// A transport asks again of its own accord if a connection that was
			// used before breaks without a word.
			if n := len(p.requests()) - before; n != 1 && (n != 2 || name != "a connection that breaks") {
				t.Errorf("the application was asked %d times", n)
			}
			onlyOurs(t, a)
			if strings.Contains(string(a.Body), "CANARY") || strings.Contains(string(a.Body), "x.example") {
				t.Errorf("something of the application's answer is passed on: %s", a.Body)
			}
		})
	}
	if len(d.warnings("the application could not say who is asking")) == 0 {
		t.Error("the log does not say that the application cannot say who is asking")
	}
	d.hushed(t)
}

// TestUserinfoOutages: an application that does not answer in time, or at all.
func TestUserinfoOutages(t *testing.T) {
	p := newBackend(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	p.answers(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	text := asksApplication(p, "timeout 200ms", "HUMA")
	closed := "http://" + freeAddress(t)
	text = strings.Replace(text, "reverse_proxy", "huma_token /closed {\nHUMA\nuserinfo "+closed+"/CANARY?key=CANARY {\nemail email\n}\n}\nreverse_proxy", 1)
	d := open(t, text)
	for _, target := range []string{path, "/closed"} {
		a := d.refused(t, 503, "userinfo_unavailable", target, cookie("CANARY"))
		if !strings.Contains(string(a.Body), "option userinfo") {
			t.Errorf("it does not name the option: %s", a.Body)
		}
		onlyOurs(t, a)
		if a := d.request("DELETE", target, cookie("CANARY")); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("DELETE: status %d", a.StatusCode)
		}
	}
	eventually(t, 5*time.Second, "both reasons are in the log", func() bool {
		return strings.Contains(d.log(), "no answer in time") && strings.Contains(d.log(), "connection refused")
	})
	p.answers(nil)
	d.granted(t, "ada@x.example", path, cookie(p.signIn("ada@x.example"))) // nothing of it stays
	d.hushed(t)
}

// TestUserinfoSendsNothingElse: the application sees the headers that are named
// and nothing else of the request.
func TestUserinfoSendsNothingElse(t *testing.T) {
	p := newBackend(t)
	ada := p.signIn("ada@x.example")
	text := asksApplication(p, "", "HUMA")
	for at, headers := range map[string]string{"/session": "X-Session", "/host": "Host cookie X-Csrf-Token", "/agent": "Authorization User-Agent"} {
		text = strings.Replace(text, "reverse_proxy", "huma_token "+at+" {\nHUMA\nuserinfo "+p.URL+"/api/me?fields=email {\nemail user.email\nforward_headers "+headers+"\n}\n}\nreverse_proxy", 1)
	}
	d := open(t, text)
	everything := []func(*http.Request){
		bearer(ada), cookie(ada), header("Cookie", "second=line"), header("X-Session", "one"), header("X-Session", "two"), header("X-Csrf-Token", "csrf"),
		header("X-Secret", "CANARY"), header("X-Forwarded-For", "10.0.0.1"), header("X-Forwarded-Host", "evil.example"), header("X-Forwarded-User", "mallory@evil.example"),
		header("Forwarded", "for=10.0.0.1"), header("Origin", "https://evil.example"), header("Referer", "https://evil.example"),
		header("User-Agent", "browser"), header("Accept", "text/html"), header("Accept-Language", "de"), header("Accept-Encoding", "gzip"),
		header("Range", "bytes=0-1"), header("If-None-Match", `"CANARY"`), header("Content-Type", "application/json"), header("Traceparent", "00-1"),
		header("Cache-Control", "no-cache"), header("X-Http-Method-Override", "DELETE"), header("Connection", "close, Cookie"),
		header("Sec-Fetch-Site", "same-origin"), header("X_Session", "alias"),
	}
	ours := http.Header{"Accept": {"application/json"}, "User-Agent": {"caddy-huma"}}
	theCookies := []string{"theme=dark; sid=" + ada, "second=line"}
	for at, c := range map[string]struct {
		query string
		host  bool
		want  http.Header
	}{
		path:       {"", false, http.Header{"Authorization": {"Bearer " + ada}, "Cookie": theCookies}},
		"/session": {"fields=email", false, http.Header{"X-Session": {"one", "two"}}},
		"/host":    {"fields=email", true, http.Header{"Cookie": theCookies, "X-Csrf-Token": {"csrf"}}},
		"/agent":   {"fields=email", false, http.Header{"Authorization": {"Bearer " + ada}, "User-Agent": {"browser"}}},
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			before := len(p.requests())
			p.answers(says(200, `{"user":{"email":"ada@x.example"}}`))
			edits := everything
			if method == "POST" {
				edits = append(slices.Clip(edits), func(r *http.Request) {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"client_type":"ios"}`)), 21
				})
			}
			if a := d.request(method, at+"?client_type=ios&secret=CANARY", edits...); a.StatusCode/100 != 2 {
				t.Fatalf("%s %s: status %d: %s", method, at, a.StatusCode, a.Body)
			}
			asked := p.requests()[before:]
			if len(asked) != 1 {
				t.Fatalf("%s %s: the application was asked %d times", method, at, len(asked))
			}
			r := asked[0]
			if r.Method != "GET" || r.URL.Path != "/api/me" || r.URL.RawQuery != c.query || r.ContentLength != 0 {
				t.Errorf("%s %s: the application was asked %s %s with %d bytes", method, at, r.Method, r.URL, r.ContentLength)
			}
			if wantHost := map[bool]string{false: strings.TrimPrefix(p.URL, "http://"), true: d.address}[c.host]; r.Host != wantHost {
				t.Errorf("%s %s: for the host %s, want %s", method, at, r.Host, wantHost)
			}
			for name, want := range ours {
				if _, named := c.want[name]; !named {
					c.want[name] = want
				}
			}
			if got, want := fmt.Sprint(r.Header), fmt.Sprint(c.want); got != want {
				t.Errorf("%s %s: the application sees\n%s\nwant\n%s", method, at, got, want)
			}
		}
	}
	d.hushed(t)
}

// TestUserinfoAsksNobody: requests without a session, and those whose answer
// does not depend on who asks, are none of the application's business.
func TestUserinfoAsksNobody(t *testing.T) {
	d, p := openApplication(t, "")
	ada := cookie(p.signIn("ada@x.example"))
	d.refused(t, 401, "identity_missing", path)
	d.refused(t, 401, "identity_missing", path, header("Cookie", ""), header("Authorization", ""))
	d.refused(t, 401, "identity_missing", path, header("X-Session", "one"), header("Proxy-Authorization", "Basic YTpi"))
	d.refused(t, 403, "cross_site", path, ada, header("Sec-Fetch-Site", "cross-site"))
	if a := d.request("DELETE", path); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("DELETE: status %d", a.StatusCode)
	}
	for _, method := range []string{"HEAD", "PUT", "PATCH"} {
		if a := d.request(method, path, ada); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, a.StatusCode)
		}
	}
	options := d.request("OPTIONS", path, ada)
	if options.StatusCode != http.StatusNoContent || options.Header.Get("Allow") == "" {
		t.Errorf("OPTIONS: %d %v", options.StatusCode, options.Header)
	}
	onlyOurs(t, options)
	if n := len(p.requests()); n != 0 {
		t.Errorf("the application was asked %d times", n)
	}
	d.untouched(t, 0)
	d.granted(t, "ada@x.example", path, ada)
	d.hushed(t)
}

// TestUserinfoAsksEachTime: whoever has signed out gets no token, though it is
// still in the cache.
func TestUserinfoAsksEachTime(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	d := &desk{serve(t, asksApplication(p, "", huma.credentials()+"client_type ios\ncache 1m")), huma}
	ada, again := p.signIn("ada@x.example"), p.signIn("ada@x.example")
	token := func(session string) string {
		t.Helper()
		return d.request("GET", path, cookie(session)).tokens(t).AuthToken
	}
	first := token(ada)
	for range 5 {
		if token(ada) != first {
			t.Error("the token was not kept")
		}
	}
	if n := len(p.requests()); n != 6 {
		t.Errorf("the application was asked %d times, want 6", n)
	}
	p.signOut(ada)
	d.refused(t, 401, "identity_missing", path, cookie(ada))
	if a := d.request("DELETE", path, cookie(ada)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("DELETE of somebody who has signed out: status %d", a.StatusCode)
	}
	p.answers(says(500, ""))
	d.refused(t, 503, "userinfo_unavailable", path, cookie(again)) // the application's word counts, not ours of before
	p.answers(nil)
	if token(again) != first || huma.calls("signin") != 1 {
		t.Error("the token was not kept for the user's other session")
	}
	if a := d.request("DELETE", path, cookie(again)); a.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: status %d", a.StatusCode)
	}
	if token(again) == first {
		t.Error("the token was not forgotten")
	}
	d.hushed(t)
}

// TestUserinfoOfManyUsers: 100 users at once, each with a session, each get
// their own token, from Huma and from the cache.
func TestUserinfoOfManyUsers(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	s := serve(t, asksApplication(p, "", huma.credentials()+"client_type ios\ncache 1m"))
	const users = 100
	email := func(i int) string { return fmt.Sprintf("u%d@x.example", i) }
	var sign []func(*http.Request)
	for i := range users {
		if session := p.signIn(email(i)); i%2 == 0 {
			sign = append(sign, cookie(session))
		} else {
			sign = append(sign, bearer(session))
		}
	}
	for round := range 3 {
		answers := s.together(iosPath, users, func(i int) []func(*http.Request) { return []func(*http.Request){sign[i]} })
		allOK(t, answers)
		accounts := make(map[string]string)
		for _, u := range huma.Users() {
			accounts[u.Email] = u.UID
		}
		for i, a := range answers {
			if uid := a.tokens(t).UID; uid != accounts[email(i)] {
				t.Errorf("round %d: %s has the token of user %s, want %s", round, email(i), uid, accounts[email(i)])
			}
		}
	}
	if n := huma.calls("signup"); n != users || len(huma.Users()) != users {
		t.Errorf("%d sign-ups of %d users", n, len(huma.Users()))
	}
	s.quiet(t, ".example", "Zo", "CANARY")
}

// TestUserinfoCallerLeaves: nobody waits any more, which is not the
// application's fault.
func TestUserinfoCallerLeaves(t *testing.T) {
	for name, options := range map[string]string{"problem": "HUMA", "caddy": "HUMA\nerrors caddy"} {
		t.Run(name, func(t *testing.T) {
			p := newBackend(t)
			d := open(t, strings.Replace(asksApplication(p, "timeout 30s", options), "SITE {", "SITE {\nlog", 1))
			w := p.waits()
			ctx, leave := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() {
				_, err := d.try(ctx, "GET", path, cookie("CANARY"))
				gone <- err
			}()
			soon(t, "the application is asked", w.came)
			leave()
			if err := <-gone; err == nil {
				t.Error("the caller did not leave")
			}
			soon(t, "the application is not waited for any more", w.left)
			eventually(t, 5*time.Second, "it is in the access log", func() bool { return strings.Contains(d.log(), `"status":499`) })
			d.untouched(t, 0)
			if warnings := d.warnings(""); len(warnings) != 0 {
				t.Errorf("warnings: %q", warnings)
			}
			close(w.on)
			d.granted(t, "ada@x.example", path, cookie("CANARY"))
			d.hushed(t)
		})
	}
}

// TestUserinfoReload: a question that is under way is answered over a reload,
// also to a config that asks nobody any more.
func TestUserinfoReload(t *testing.T) {
	p, huma := newBackend(t), newHuma(t, sandbox.Config{})
	text := fill(huma, asksApplication(p, "", "HUMA"))
	d := &desk{serve(t, text), huma}
	for name, next := range map[string]string{
		"the same":        text + "\n# again",
		"another timeout": strings.Replace(text, "email user.email", "email user.email\ntimeout 4s", 1),
		"another path":    strings.Replace(text, "email user.email", "email data.0.email", 1),
		"none":            "SITE {\nrespond ok\n}",
	} {
		t.Run(name, func(t *testing.T) {
			d.move()
			if err := d.load(text); err != nil {
				t.Fatal(err)
			}
			w := p.waits()
			before := len(huma.Calls().Calls)
			answers := make(chan *answer, 1)
			go func() {
				defer close(answers)
				if a, err := d.try(context.Background(), "GET", path, cookie("CANARY")); err == nil {
					answers <- a
				} else {
					t.Errorf("the question was lost: %v", err)
				}
			}()
			soon(t, "the application is asked", w.came)
			if err := d.load(next); err != nil {
				t.Fatal(err)
			}
			close(w.on)
			if a := <-answers; a != nil {
				d.isOf(t, a, "ada@x.example", before)
			}
		})
	}
	d.hushed(t)
}

// TestUserinfoVerifiedAndDomains: what the application says of the address
// besides.
func TestUserinfoVerifiedAndDomains(t *testing.T) {
	d, p := openApplication(t, "user_id user.id\nverified user.confirmed\ndomains x.example clinic.example")
	const ok, unverified, domain = "", "email_unverified", "domain_not_allowed"
	for text, code := range map[string]string{
		`{"user":{"email":"ada@x.example","confirmed":true}}`:                        ok,
		`{"user":{"email":"ada@x.example","confirmed":"yes"}}`:                       ok,
		`{"user":{"email":"ada@x.example","confirmed":1}}`:                           ok,
		`{"user":{"email":"Grace@X.Example","confirmed":true}}`:                      ok,
		`{"user":{"email":"ada@clinic.example","confirmed":"TRUE","id":"7"}}`:        ok,
		`{"user":{"email":"ada@x.example"}}`:                                         unverified,
		`{"user":{"email":"ada@x.example","confirmed":null}}`:                        unverified,
		`{"user":{"email":"ada@x.example","confirmed":false}}`:                       unverified,
		`{"user":{"email":"ada@x.example","confirmed":0}}`:                           unverified,
		`{"user":{"email":"ada@x.example","confirmed":"2026-01-01T00:00:00Z"}}`:      unverified,
		`{"user":{"email":"ada@x.example","confirmed":{"at":"now"}}}`:                unverified,
		`{"user":{"email":"ada@x.example"},"confirmed":true}`:                        unverified,
		`{"user":{"email":"ada@x.example","confirmed":true,"email_verified":false}}`: unverified,
		`{"user":{"email":"ada@sub.x.example","confirmed":true}}`:                    domain,
		`{"user":{"email":"ada@evil.example","confirmed":true}}`:                     domain,
		`{"user":{"email":"ada@x.example.evil.example","confirmed":true}}`:           domain,
	} {
		p.answers(says(200, text))
		if code == ok {
			var v struct{ User struct{ Email string } }
			_ = json.Unmarshal([]byte(text), &v)
			d.granted(t, v.User.Email, path, cookie("CANARY"))
			continue
		}
		before := len(d.huma.Calls().Calls)
		a := d.request("GET", path, cookie("CANARY"))
		if a.StatusCode != http.StatusForbidden || !strings.Contains(string(a.Body), `"`+code+`"`) {
			t.Errorf("%s: status %d, want 403 %s: %s", text, a.StatusCode, code, a.Body)
		}
		d.untouched(t, before)
	}
	d.hushed(t)
}

// TestUserinfoErrorsCaddy: with errors caddy the site's own pages are shown,
// with what the caller needs to know.
func TestUserinfoErrorsCaddy(t *testing.T) {
	p := newBackend(t)
	text := asksApplication(p, "", "HUMA\nerrors caddy")
	d := open(t, strings.Replace(text, "reverse_proxy", "handle_errors {\nheader X-Code {http.huma_token.error.code}\nrespond \"our own page\" {err.status_code}\n}\nreverse_proxy", 1))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		code   string
	}{
		"unavailable": {says(500, "CANARY"), 503, "userinfo_unavailable"},
		"a redirect":  {says(302, "CANARY"), 503, "userinfo_unavailable"},
		"nobody":      {says(401, "CANARY"), 401, "identity_missing"},
		"no address":  {says(200, "{}"), 401, "identity_missing"},
		"unverified":  {says(200, `{"user":{"email":"ada@x.example","email_verified":false}}`), 403, "email_unverified"},
	} {
		t.Run(name, func(t *testing.T) {
			p.answers(c.answer)
			a := d.stopped(t, c.status, path, cookie("CANARY"))
			if string(a.Body) != "our own page" || a.Header.Get("X-Code") != c.code {
				t.Errorf("code %q, want %s: %s", a.Header.Get("X-Code"), c.code, a.Body)
			}
			if retry := a.Header.Get("Retry-After"); (retry != "") != (c.status == 503) {
				t.Errorf("status %d with Retry-After %q", c.status, retry)
			}
			a.Header.Del("X-Code")
			onlyOurs(t, a)
		})
	}
	d.hushed(t)
}

// TestUserinfoWithinTheTimeout: an application that takes longer than a request
// may wait is not waited for, and it is said to be the reason.
func TestUserinfoWithinTheTimeout(t *testing.T) {
	p := newBackend(t)
	session := p.signIn("ada@x.example")
	p.answers(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
	})
	d := open(t, asksApplication(p, "", "HUMA\ntimeout 300ms"))
	start := time.Now()
	d.refused(t, 503, "userinfo_unavailable", path, cookie(session))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
