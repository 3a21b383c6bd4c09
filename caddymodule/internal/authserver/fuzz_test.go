package authserver

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// FuzzRequest sends arbitrary parts of a request. The call has exactly one of each
// header, and nothing of the request that is not forwarded.
func FuzzRequest(f *testing.F) {
	f.Add("app.example.com", "a=1", "/private/huma-token?x=1", "192.0.2.1:1", "203.0.113.9", true)
	f.Add("a\r\nb", "a\r\nX-Admin: 1", "/ HTTP/1.1\r\nX-Admin: 1", "@", "x\r\ny", true)
	f.Add("", "", "\x00", "[fe80::1%eth0]:1", "", false)
	f.Fuzz(func(t *testing.T, host, cookie, uri, remote, forwardedFor string, trusted bool) {
		client, err := New(subrequest.Config{URL: "http://auth.invalid/check", Timeout: subrequest.DefaultTimeout, Transport: testutil.RoundTripper(func(req *http.Request) (*http.Response, error) {
			for _, values := range req.Header {
				// http.Transport refuses to send them.
				if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
					return nil, errors.New("invalid header field value")
				}
			}
			var sent bytes.Buffer
			if err := req.Write(&sent); err != nil {
				return nil, err
			}
			got, err := http.ReadRequest(bufio.NewReader(&sent))
			if err != nil {
				t.Fatalf("%v: %q", err, sent.String())
			}
			for name, values := range got.Header {
				if len(values) != 1 || name == "X-Admin" || name == "Remote-Email" {
					t.Fatalf("sent %s: %q", name, values)
				}
			}
			if got.RequestURI != "/check" || got.Method != http.MethodGet || got.ContentLength != 0 {
				t.Fatalf("sent %s %s", got.Method, got.RequestURI)
			}
			return &http.Response{StatusCode: 401, Body: http.NoBody}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Check(t.Context(), identity.AuthRequest{
			Host: host, Method: http.MethodGet, URI: uri, RemoteAddr: remote, TrustedProxy: trusted,
			Header: http.Header{"Cookie": {cookie}, "X-Forwarded-For": {forwardedFor, "192.0.2.8"}, "Remote-Email": {"a@x.example"}},
		})
		if err != identity.ErrAuthServerDenied && err != identity.ErrNoCredentials && err != identity.ErrAuthServerUnavailable {
			t.Fatal(err)
		}
	})
}

// FuzzResponse sends arbitrary bytes as the auth server's response. Only a 2xx response
// returns headers, which are those of the response, and an error for the log contains no
// text of it.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nRemote-Email: a@x.example\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nRemote-Email: a@x.example\r\nRemote-Email: b@x.example\r\nSet-Cookie: s=1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "HTTP/1.1 401 canary\r\n\r\n", "HTTP/1.1 403 x\r\n\r\n",
		"HTTP/1.1 400 canary\r\nX: canary\r\n\r\ncanary", "HTTP/1.0 999 x\r\n\r\n", "HTTP/1.1 000 x\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n", "canary",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var (
			sent     *http.Response
			reported error
		)
		client, err := New(subrequest.Config{URL: "http://auth.invalid/check", Timeout: subrequest.DefaultTimeout, OnError: func(err error) { reported = err }, Transport: testutil.RoundTripper(func(req *http.Request) (_ *http.Response, err error) {
			sent, err = http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), req)
			return sent, err
		})})
		if err != nil {
			t.Fatal(err)
		}
		header, err := client.Check(t.Context(), identity.AuthRequest{Host: "app.example.com", Method: http.MethodGet, URI: "/", Header: http.Header{"Cookie": {"a=1"}}})
		status := 0
		if sent != nil {
			status = sent.StatusCode
		}
		want := identity.ErrAuthServerUnavailable
		switch {
		case status >= 200 && status <= 299:
			if err != nil || !maps.EqualFunc(header, sent.Header, slices.Equal) {
				t.Fatalf("status %d: %v, %v", status, header, err)
			}
			return
		case status == 401, status >= 300 && status <= 399:
			want = identity.ErrAuthServerDenied
		case status == 403:
			want = identity.ErrAuthServerForbidden
		}
		if err != want || header != nil {
			t.Fatalf("status %d: %v, %v", status, header, err)
		}
		if (want == identity.ErrAuthServerUnavailable) != (reported != nil) {
			t.Fatalf("%v, and the error %v was reported", err, reported)
		}
		if reported != nil && status >= 100 && reported.Error() != explain(status) {
			t.Fatalf("reported %v", reported)
		}
	})
}
