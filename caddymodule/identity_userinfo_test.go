package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
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
// application have different errors. The tests of internal/userinfo and internal/identity
// have more responses.
func TestUserinfoResponses(t *testing.T) {
	d, p := openUserinfo(t, "verified user.confirmed\ndomains x.example")
	ada := p.signIn("ada@x.example")
	const unavailable = "identity_unavailable"
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		code    string // the error code or the user
	}{
		{"signed in", nil, "ada@x.example"},
		{"401", respondText(401, `{"user":{"email":"ada@x.example"}}`), "identity_missing"},
		{"403", respondText(403, "CANARY"), "identity_forbidden"},
		{"null", respondText(200, `null`), "identity_missing"},
		{"an address elsewhere", respondText(200, `{"email":"ada@x.example"}`), "identity_missing"},
		{"a number", respondText(200, `{"user":{"email":7}}`), "identity_invalid"},
		{"two addresses", respondText(200, `{"user":{"email":["ada@x.example","bob@x.example"]}}`), "identity_invalid"},
		{"not confirmed", respondText(200, `{"user":{"email":"ada@x.example"}}`), "email_unverified"},
		{"not verified", respondText(200, `{"user":{"email":"ada@x.example","confirmed":true,"email_verified":false}}`), "email_unverified"},
		{"of another domain", respondText(200, `{"user":{"email":"ada@evil.example","confirmed":true}}`), "domain_not_allowed"},
		{"a page", respondText(200, "<!doctype html><title>CANARY</title>"), unavailable},
		{"300 KiB", respondText(200, `{"user":{"email":"ada@x.example","confirmed":true,"x":"`+strings.Repeat("x", 300<<10)+`"}}`), unavailable},
		{"a redirect, with a user", respondText(307, `{"user":{"email":"ada@x.example","confirmed":true}}`), unavailable},
		{"500", respondText(500, `{"user":{"email":"ada@x.example","confirmed":true}}`), unavailable},
		{"a connection that breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unavailable},
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
			case c.code == "email_unverified", c.code == "domain_not_allowed", c.code == "identity_forbidden":
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
// headers of the request. TestRequest of internal/userinfo has more cases.
func TestUserinfoSendsNothingElse(t *testing.T) {
	p := newBackend(t)
	ada := p.signIn("ada@x.example")
	d := open(t, strings.Replace(userinfoSite(p, "", "HUMA"), "reverse_proxy", "huma_token /host {\nHUMA\nuserinfo "+p.URL+"/api/me?fields=email {\nemail user.email\nforward_headers Host Cookie User-Agent\n}\n}\nreverse_proxy", 1))
	ours := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Cookie": {"theme=dark; sid=" + ada, "second=line"}}
	for _, c := range []struct {
		target, host, url string
		more              http.Header
	}{
		{path, strings.TrimPrefix(p.URL, "http://"), "/api/me", http.Header{"Authorization": {"Bearer " + ada}, "User-Agent": {"caddy-huma"}}},
		{"/host", d.address, "/api/me?fields=email", http.Header{"User-Agent": {"browser"}}},
	} {
		before := len(p.requests())
		d.wantTokenOf(t, "ada@x.example", c.target+"?client_type=ios&secret=CANARY",
			bearer(ada), cookie(ada), header("Cookie", "second=line"), header("User-Agent", "browser"), header("Accept", "text/html"), header("Accept-Encoding", "gzip"),
			header("X-Secret", "CANARY"), header("X-Forwarded-For", "10.0.0.1"), header("Referer", "https://evil.example"), header("Content-Type", "application/json"))
		maps.Copy(c.more, ours)
		r := p.requests()[before]
		if r.Method != "GET" || r.Host != c.host || r.URL.String() != c.url || r.ContentLength != 0 || fmt.Sprint(r.Header) != fmt.Sprint(c.more) {
			t.Errorf("%s: the application received %s %s of %s with %d bytes and\n%s\nwant\n%s", c.target, r.Method, r.URL, r.Host, r.ContentLength, r.Header, c.more)
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
