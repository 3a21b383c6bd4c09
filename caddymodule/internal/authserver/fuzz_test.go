package authserver

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// FuzzRequest sends arbitrary parts of a request. The call has exactly one of each
// header, and nothing of the request that is not forwarded.
func FuzzRequest(f *testing.F) {
	f.Add("app.example.com", "a=1", "/private/huma-token?x=1", "192.0.2.1:1", "203.0.113.9", true)
	f.Add("a\r\nb", "a\r\nX-Admin: 1", "/ HTTP/1.1\r\nX-Admin: 1", "@", "x\r\ny", true)
	f.Add("", "", "\x00", "[fe80::1%eth0]:1", "", false)
	f.Fuzz(func(t *testing.T, host, cookie, uri, remote, forwardedFor string, trusted bool) {
		client, err := New(Config{URL: "http://auth.invalid/check", Transport: testutil.RoundTripper(func(req *http.Request) (*http.Response, error) {
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
