package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUserinfo checks that a user who is signed in at the application gets a token, with
// no other authentication.
func TestUserinfo(t *testing.T) {
	d, p := openUserinfo(t, "")
	d.wantRejection(t, 401, "identity_missing", path)

	// The cookie comes from the application, through this site.
	signed := d.request("POST", "/login", func(r *http.Request) { r.URL.RawQuery = "email=ada@x.example" })
	if len(signed.Cookies()) != 1 {
		t.Fatalf("signing in: %d %v", signed.StatusCode, signed.Header)
	}
	d.wantTokenOf(t, "ada@x.example", path, func(r *http.Request) { r.AddCookie(signed.Cookies()[0]) })
	attributes, _ := d.user(t, "ada@x.example").Profile["userAttributes"].(map[string]any)
	if attributes["givenName"] != "Zoë" || attributes["familyName"] != "Ångström" {
		t.Errorf("Huma has the names %q", attributes)
	}

	grace, bob := p.signIn("Grace@X.example"), p.signIn("bob@x.example")
	d.wantTokenOf(t, "Grace@X.example", path, bearer(grace)) // the address as the application returns it
	d.wantTokenOf(t, "bob@x.example", path, cookie(bob))
	d.wantTokenOf(t, "bob@x.example", path, bearer(bob), cookie(grace)) // the application decides which one it uses
	a := d.request("POST", iosPath, cookie(bob))
	a.tokens(t)
	for _, session := range []string{"CANARY-unknown", "", "x; sid=" + grace + "x"} {
		d.wantRejection(t, 401, "identity_missing", path, cookie(session))
		d.wantRejection(t, 401, "identity_missing", path, bearer(session))
	}
	p.signOut(bob)
	d.wantRejection(t, 401, "identity_missing", path, cookie(bob))
	// Headers of authentication layers have no effect.
	for _, name := range []string{"X-User", "Remote-Email", "X-Forwarded-Email", "X-Auth-Request-Email"} {
		d.wantRejection(t, 401, "identity_missing", path, header(name, "mallory@evil.example"))
		d.wantTokenOf(t, "Grace@X.example", path, header(name, "mallory@evil.example"), bearer(grace))
	}
	if w := d.warnings(""); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	d.noUserDataInLog(t)
}

// TestUserinfoResponses checks that "not signed in" and an invalid response of the
// application have different errors.
func TestUserinfoResponses(t *testing.T) {
	d, p := openUserinfo(t, "")
	ada := p.signIn("ada@x.example")
	const unavailable = "identity_unavailable"
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		code    string // the error code or the user
	}{
		{"signed in", nil, "ada@x.example"},
		{"of another type", respondText(200, `{"user":{"email":"ada@x.example"}}`), "ada@x.example"},
		{"a list of one", respondText(200, `{"user":[{"email":"ada@x.example"}]}`), "identity_missing"},
		{"an address in a list", respondText(200, `{"user":{"email":["ada@x.example"]}}`), "ada@x.example"},
		{"verified", respondText(200, `{"user":{"email":"ada@x.example","email_verified":true}}`), "ada@x.example"},
		{"401", respondText(401, `{"user":{"email":"ada@x.example"}}`), "identity_missing"},
		{"403", respondText(403, "CANARY"), "identity_forbidden"},
		{"401 and a page", respondText(401, "<html>CANARY"), "identity_missing"},
		{"an empty object", respondText(200, `{}`), "identity_missing"},
		{"an empty list", respondText(200, `[]`), "identity_missing"},
		{"null", respondText(200, `null`), "identity_missing"},
		{"no user", respondText(200, `{"user":null}`), "identity_missing"},
		{"a user without address", respondText(200, `{"user":{"id":7,"mail":"ada@x.example"}}`), "identity_missing"},
		{"an address elsewhere", respondText(200, `{"email":"ada@x.example"}`), "identity_missing"},
		{"an address of null", respondText(200, `{"user":{"email":null}}`), "identity_missing"},
		{"an empty address", respondText(200, `{"user":{"email":""}}`), "identity_missing"},
		{"a blank address", respondText(200, `{"user":{"email":"  "}}`), "identity_missing"},
		{"a user that is a text", respondText(200, `{"user":"ada@x.example"}`), "identity_missing"},
		{"a number", respondText(200, `{"user":{"email":7}}`), "identity_invalid"},
		{"a boolean", respondText(200, `{"user":{"email":true}}`), "identity_invalid"},
		{"an object", respondText(200, `{"user":{"email":{"address":"ada@x.example"}}}`), "identity_invalid"},
		{"two addresses", respondText(200, `{"user":{"email":["ada@x.example","bob@x.example"]}}`), "identity_invalid"},
		{"two in a text", respondText(200, `{"user":{"email":"ada@x.example, bob@x.example"}}`), "identity_invalid"},
		{"a display name", respondText(200, `{"user":{"email":"Ada <ada@x.example>"}}`), "identity_invalid"},
		{"a login", respondText(200, `{"user":{"email":"ada"}}`), "identity_invalid"},
		{"a placeholder", respondText(200, `{"user":{"email":"{env.HOME}@x.example"}}`), "identity_invalid"},
		{"not verified", respondText(200, `{"user":{"email":"ada@x.example","email_verified":false}}`), "email_unverified"},
		{"not verified, in camels", respondText(200, `{"user":{"email":"ada@x.example","emailVerified":false}}`), "email_unverified"},
		{"a page", respondText(200, "<!doctype html><title>CANARY</title>"), unavailable},
		{"nothing", respondText(200, ""), unavailable},
		{"a text", respondText(200, `"ada@x.example"`), unavailable},
		{"half an object", respondText(200, `{"user":{"email":"ada@x.example"`), unavailable},
		{"two objects", respondText(200, `{"user":{"email":"ada@x.example"}}{"user":{"email":"bob@x.example"}}`), unavailable},
		{"an address twice", respondText(200, `{"user":{"email":"ada@x.example","email":"bob@x.example"}}`), unavailable},
		{"300 KiB", respondText(200, `{"user":{"email":"ada@x.example","x":"`+strings.Repeat("x", 300<<10)+`"}}`), unavailable},
		{"201", respondText(201, `{"user":{"email":"ada@x.example"}}`), unavailable},
		{"204", respondText(204, ""), unavailable},
		{"a redirect to the login", respondText(302, ""), unavailable},
		{"a redirect, with a user", respondText(307, `{"user":{"email":"ada@x.example"}}`), unavailable},
		{"not modified", respondText(304, ""), unavailable},
		{"400", respondText(400, "CANARY"), unavailable},
		{"404", respondText(404, "CANARY"), unavailable},
		{"429", respondText(429, "CANARY"), unavailable},
		{"500", respondText(500, `{"user":{"email":"ada@x.example"}}`), unavailable},
		{"503", respondText(503, "CANARY"), unavailable},
		{"a connection that breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unavailable},
		{"one that breaks halfway", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"user":{"email":"ada@x.example"}}`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, unavailable},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `{"user":{"email":"ada@x.example"}}`)
		}, unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.setHandler(c.handler)
			before := len(p.requests())
			a := (*response)(nil)
			switch {
			case strings.Contains(c.code, "@"):
				a = d.wantTokenOf(t, c.code, path, cookie(ada))
			case c.code == unavailable:
				a = d.wantRejection(t, 503, c.code, path, cookie(ada))
			case c.code == "email_unverified", c.code == "identity_forbidden":
				a = d.wantRejection(t, 403, c.code, path, cookie(ada))
			default:
				a = d.wantRejection(t, 401, c.code, path, cookie(ada))
			}
			// net/http retries a request if a reused connection is closed before the
			// response.
			if n := len(p.requests()) - before; n != 1 && (n != 2 || c.name != "a connection that breaks") {
				t.Errorf("the application was called %d times", n)
			}
			noApplicationHeaders(t, a)
			if strings.Contains(string(a.Body), "CANARY") || strings.Contains(string(a.Body), "x.example") {
				t.Errorf("a part of the application's response is passed on: %s", a.Body)
			}
		})
	}
	if len(d.warnings("userinfo request failed")) == 0 {
		t.Error("the failed userinfo request is not logged")
	}
	d.noUserDataInLog(t)
}

// TestUserinfoOutages checks an application that responds late or not at all.
func TestUserinfoOutages(t *testing.T) {
	p := newBackend(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	p.setHandler(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	text := userinfoSite(p, "timeout 200ms", "HUMA")
	closed := "http://" + freeAddress(t)
	text = strings.Replace(text, "reverse_proxy", "huma_token /closed {\nHUMA\nuserinfo "+closed+"/CANARY?key=CANARY {\nemail email\n}\n}\nreverse_proxy", 1)
	d := open(t, text)
	for _, target := range []string{path, "/closed"} {
		a := d.wantRejection(t, 503, "identity_unavailable", target, cookie("CANARY"))
		if !strings.Contains(string(a.Body), "option userinfo") {
			t.Errorf("the response does not contain the option: %s", a.Body)
		}
		noApplicationHeaders(t, a)
		if a := d.request("DELETE", target, cookie("CANARY")); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("DELETE: status %d", a.StatusCode)
		}
	}
	eventually(t, 5*time.Second, "both reasons are logged", func() bool {
		return strings.Contains(d.log(), "timed out waiting for the response") && strings.Contains(d.log(), "connection refused")
	})
	p.setHandler(nil)
	d.wantTokenOf(t, "ada@x.example", path, cookie(p.signIn("ada@x.example"))) // no error is cached
	d.noUserDataInLog(t)
}

// TestUserinfoSendsNothingElse checks that the application receives only the configured
// headers of the request.
func TestUserinfoSendsNothingElse(t *testing.T) {
	p := newBackend(t)
	ada := p.signIn("ada@x.example")
	text := userinfoSite(p, "", "HUMA")
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
	ours := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"caddy-huma"}}
	theCookies := []string{"theme=dark; sid=" + ada, "second=line"}
	for _, c := range []struct {
		name  string
		query string
		host  bool
		want  http.Header
	}{
		{path, "", false, http.Header{"Authorization": {"Bearer " + ada}, "Cookie": theCookies}},
		{"/session", "fields=email", false, http.Header{"X-Session": {"one", "two"}}},
		{"/host", "fields=email", true, http.Header{"Cookie": theCookies, "X-Csrf-Token": {"csrf"}}},
		{"/agent", "fields=email", false, http.Header{"Authorization": {"Bearer " + ada}, "User-Agent": {"browser"}}},
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			before := len(p.requests())
			p.setHandler(respondText(200, `{"user":{"email":"ada@x.example"}}`))
			edits := everything
			if method == "POST" {
				edits = append(slices.Clip(edits), func(r *http.Request) {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"client_type":"ios"}`)), 21
				})
			}
			if a := d.request(method, c.name+"?client_type=ios&secret=CANARY", edits...); a.StatusCode/100 != 2 {
				t.Fatalf("%s %s: status %d: %s", method, c.name, a.StatusCode, a.Body)
			}
			received := p.requests()[before:]
			if len(received) != 1 {
				t.Fatalf("%s %s: the application was called %d times", method, c.name, len(received))
			}
			r := received[0]
			if r.Method != "GET" || r.URL.Path != "/api/me" || r.URL.RawQuery != c.query || r.ContentLength != 0 {
				t.Errorf("%s %s: the application received %s %s with %d bytes", method, c.name, r.Method, r.URL, r.ContentLength)
			}
			if wantHost := map[bool]string{false: strings.TrimPrefix(p.URL, "http://"), true: d.address}[c.host]; r.Host != wantHost {
				t.Errorf("%s %s: received the host %s, want %s", method, c.name, r.Host, wantHost)
			}
			for name, want := range ours {
				if _, named := c.want[name]; !named {
					c.want[name] = want
				}
			}
			if got, want := fmt.Sprint(r.Header), fmt.Sprint(c.want); got != want {
				t.Errorf("%s %s: the application received\n%s\nwant\n%s", method, c.name, got, want)
			}
		}
	}
	d.noUserDataInLog(t)
}

// TestUserinfoNotCalled checks that the application is not called for requests without a
// session, and for requests whose response does not depend on the user.
func TestUserinfoNotCalled(t *testing.T) {
	d, p := openUserinfo(t, "")
	ada := cookie(p.signIn("ada@x.example"))
	d.wantRejection(t, 401, "identity_missing", path)
	d.wantRejection(t, 401, "identity_missing", path, header("Cookie", ""), header("Authorization", ""))
	d.wantRejection(t, 401, "identity_missing", path, header("X-Session", "one"), header("Proxy-Authorization", "Basic YTpi"))
	d.wantRejection(t, 403, "cross_site", path, ada, header("Sec-Fetch-Site", "cross-site"))
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
	noApplicationHeaders(t, options)
	if n := len(p.requests()); n != 0 {
		t.Errorf("the application was called %d times", n)
	}
	d.wantNoCalls(t, 0)
	d.wantTokenOf(t, "ada@x.example", path, ada)
	d.noUserDataInLog(t)
}
