package userinfo

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// allHeaders returns all headers that a client may send.
func allHeaders() http.Header {
	return http.Header{
		"Accept":              {"text/html"},
		"Accept-Encoding":     {"gzip"},
		"Authorization":       {"Bearer t"},
		"Cache-Control":       {"no-cache"},
		"Connection":          {"close, Cookie"},
		"Content-Length":      {"7"},
		"Content-Type":        {"text/plain"},
		"Cookie":              {"a=1", "b=2"},
		"Expect":              {"100-continue"},
		"Host":                {"evil.example"},
		"Idempotency-Key":     {"1"},
		"Proxy-Authorization": {"Basic cA=="},
		"Range":               {"bytes=0-1"},
		"Te":                  {"trailers"},
		"Traceparent":         {"00-1"},
		"Transfer-Encoding":   {"chunked"},
		"Upgrade":             {"h2c"},
		"User-Agent":          {"browser"},
		"X-Forwarded-For":     {"203.0.113.9"},
		"X-Remote-User":       {"admin"},
		"X-Session":           {"s"},
		"x-session":           {"not canonical"},
	}
}

// TestRequest checks the bytes that the application receives.
func TestRequest(t *testing.T) {
	const first = "GET /me?key=" + canaryQuery + " HTTP/1.1\r\n"
	tests := map[string]struct {
		names []string
		want  string // lines of the header, in any order
	}{
		"default": {nil, "Host: APP|User-Agent: caddy-huma|Accept: application/json|Authorization: Bearer t|Cookie: a=1|Cookie: b=2"},
		"one":     {[]string{"x-session"}, "Host: APP|User-Agent: caddy-huma|Accept: application/json|X-Session: s"},
		"host":    {[]string{"host", "X-Session"}, "Host: site.example:8443|User-Agent: caddy-huma|Accept: application/json|X-Session: s"},
		"instead of ours": {[]string{"Authorization", "User-Agent", "Accept"},
			"Host: APP|User-Agent: browser|Accept: text/html|Authorization: Bearer t"},
		"absent": {[]string{"Authorization", "X-Other"}, "Host: APP|User-Agent: caddy-huma|Accept: application/json|Authorization: Bearer t"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			raw := rawOf(t, "site.example:8443", allHeaders(), forward(tt.names...))
			line, rest, _ := strings.Cut(raw, "\r\n")
			if line+"\r\n" != first {
				t.Errorf("got %q", line)
			}
			got := map[string]int{"Accept-Encoding: identity": -1}
			for _, l := range strings.Split(strings.TrimSuffix(rest, "\r\n\r\n"), "\r\n") {
				got[l]++
			}
			for _, l := range strings.Split(tt.want, "|") {
				if got[l]--; got[l] == 0 {
					delete(got, l)
				}
			}
			maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
			if len(got) != 0 {
				t.Errorf("lines that differ: %v", got)
			}
		})
	}
}

// TestSmuggling checks that an invalid header value is not sent in any form.
func TestSmuggling(t *testing.T) {
	var calls atomic.Int32
	url := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	bad := []string{"a\r\nX-Admin: 1", "a\nX-Admin: 1", "a\rX-Admin: 1", "\r\n\r\nGET /admin HTTP/1.1\r\n\r\n", "a\x00b", "a\x7fb", "a\x1bb"}
	for _, value := range bad {
		t.Run(fmt.Sprintf("%q", value), func(t *testing.T) {
			c, r := newClient(t, url, forward("Cookie", "X-Session", "Host"))
			for _, h := range []http.Header{
				{"Cookie": {value}},
				{"Cookie": {"good"}, "X-Session": {value}},
				{"Cookie": {"good", value}},
			} {
				wantRejection(t, c, t.Context(), h, identity.ErrNoCredentials)
			}
			if _, err := c.Fetch(t.Context(), value, http.Header{"Cookie": {"good"}}); err != identity.ErrNoCredentials {
				t.Errorf("as the host: %v", err)
			}
			if errs := r.All(); len(errs) != 0 {
				t.Errorf("reported: %v", errs)
			}
		})
	}
	for _, host := range []string{"a b", "a/b", "a@b", `a\b`, "a?b", "a#b", "ä.example", "a\tb", "<a>", "[fe80::1%eth0]"} {
		c, _ := newClient(t, url, forward("Cookie", "Host"))
		if _, err := c.Fetch(t.Context(), host, http.Header{"Cookie": {"good"}}); err != identity.ErrNoCredentials {
			t.Errorf("host %q: %v", host, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestRequestWithoutHost checks that the URL's host is sent if the request has none.
func TestRequestWithoutHost(t *testing.T) {
	if raw := rawOf(t, "", withCredentials(), forward("Cookie", "Host")); !strings.Contains(raw, "\r\nHost: APP\r\n") {
		t.Errorf("%q", raw)
	}
}

func TestDocument(t *testing.T) {
	for _, tt := range []struct {
		name             string
		body, path, want string
	}{
		{"object", `{"user":{"email":"a@x.io"}}`, "user.email", "a@x.io"},
		{"list", `[{"email":"a@x.io"}]`, "0.email", "a@x.io"},
		{"white space", " \r\n{\"email\":\"a@x.io\"}\n", "email", "a@x.io"},
		{"no member", `{}`, "email", "<nil>"},
		{"null", "null", "email", "<nil>"},
		{"null, spaces", " null\r\n", "0.email", "<nil>"},
		{"whole", `{"email":"a@x.io","x":"` + strings.Repeat("x", maxResponse-25) + `"}`, "email", "a@x.io"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.body) > maxResponse {
				t.Fatal(len(tt.body))
			}
			c, r := newClient(t, testutil.ServeResponse(t, 200, tt.body))
			d, err := c.Fetch(t.Context(), "", withCredentials())
			if err != nil {
				t.Fatal(err, r.All())
			}
			if got := fmt.Sprint(lookup(t, d, tt.path)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCookiesAreNotStored checks that each call sends only the headers of its own
// request.
func TestCookiesAreNotStored(t *testing.T) {
	var got []string
	c, _ := newClient(t, testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, strings.Join(r.Header.Values("Cookie"), "|")+r.Header.Get("If-None-Match"))
		w.Header().Set("Set-Cookie", "session="+canaryResponse)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, "{}")
	}))
	for _, h := range []http.Header{{"Cookie": {"a=1"}}, {"Authorization": {"Bearer t"}}, {"Cookie": {"b=2"}}} {
		if _, err := c.Fetch(t.Context(), "", h); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(got) != "[a=1  b=2]" {
		t.Errorf("got %q", got)
	}
}
