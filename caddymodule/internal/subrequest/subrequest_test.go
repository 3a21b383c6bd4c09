package subrequest

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// Secrets that no error may contain.
const (
	canaryQuery = "canary-query-77c1"
	canaryUser  = "canary-user-0f5d"
	canaryPass  = "canary-pass-5c66"
)

func TestURL(t *testing.T) {
	tests := map[string]struct {
		url  string
		want string
	}{
		"http":                  {"http://127.0.0.1:3000/me", ""},
		"https":                 {"https://app.example/api/me?expand=1", ""},
		"capitals":              {"HTTPS://app.example", ""},
		"any host":              {"http://app.internal/me", ""},
		"IPv6":                  {"http://[::1]:3000/me", ""},
		"escaped":               {"http://h/a%2Fb", ""},
		"empty":                 {"", "must begin with http"},
		"path alone":            {"/me", "must begin with http"},
		"no scheme":             {"127.0.0.1:3000/me", "must begin with http"},
		"no scheme, name":       {"localhost:3000/me", "must begin with http"},
		"scheme-relative":       {"//localhost/me", "must begin with http"},
		"ftp":                   {"ftp://h/me", "must begin with http"},
		"unix":                  {"unix//run/app.sock", "must begin with http"},
		"opaque":                {"http:h/me", "must begin with http"},
		"no host":               {"http:///me", "no host or an invalid port"},
		"port alone":            {"http://:3000/me", "no host or an invalid port"},
		"port 0":                {"http://h:0/me", "no host or an invalid port"},
		"port too high":         {"http://h:65536/me", "no host or an invalid port"},
		"port no number":        {"http://h:" + canaryPass + "/me", "is not a URL"},
		"fragment":              {"http://h/me#" + canaryQuery, "must not contain a fragment"},
		"empty fragment":        {"http://h/me#", "must not contain a fragment"},
		"user":                  {"http://" + canaryUser + "@h/me", "must not contain a user or a password"},
		"user and password":     {"http://" + canaryUser + ":" + canaryPass + "@h/me", "must not contain a user or a password"},
		"empty user":            {"http://@h/me", "must not contain a user or a password"},
		"control":               {"http://h/me?k=" + canaryQuery + "\x00", "is not a URL"},
		"line break":            {"http://h/me?k=" + canaryQuery + "\r\nX: y", "is not a URL"},
		"line break in host":    {"http://h\r\nX-Evil: 1/me", "is not a URL"},
		"bad escape":            {"http://h/%zz?" + canaryQuery, "is not a URL"},
		"broken host":           {"http://[::1/me?" + canaryQuery, "is not a URL"},
		"space in host":         {"http://a b/me", "is not a URL"},
		"password with a slash": {"http://" + canaryUser + ":a/" + canaryPass + "@h/me", "is not a URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := parseURL(tt.url)
			if tt.want == "" {
				if err != nil || u == nil {
					t.Fatal(err)
				}
				return
			}
			if u != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			testutil.NoSecrets(t, err, "canary")
		})
	}
}

// newClient returns a Client of url.
func newClient(t *testing.T, url string, transport http.RoundTripper) *Client {
	t.Helper()
	c, err := New(Peer{Name: "the application", Option: "userinfo"}, Config{URL: url, ForwardHeaders: []string{"Cookie"}, Timeout: time.Minute, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestErrorsContainNoSecrets uses a transport whose errors contain everything it was
// given.
func TestErrorsContainNoSecrets(t *testing.T) {
	c := newClient(t, "http://app.invalid/me?"+canaryQuery, testutil.RoundTripper(func(req *http.Request) (*http.Response, error) {
		var all strings.Builder
		_ = req.Write(&all)
		return nil, &url.Error{Op: "Get", URL: all.String(), Err: errors.New(all.String())}
	}))
	if _, err := c.Get(t.Context(), "", http.Header{"Cookie": {canaryUser}}, http.Header{"X-Own": {canaryPass}}, 1); err == nil {
		t.Error("no error")
	} else {
		testutil.NoSecrets(t, err, "canary")
	}
}

// TestE5_ResponseHeader checks that at most 64 KiB of a response header are read.
func TestE5_ResponseHeader(t *testing.T) {
	ca := testutil.NewAuthority(t.TempDir(), "ours")
	transport := NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}
	defer transport.CloseIdleConnections()
	testutil.WantHeaderLimit(t, ca, func(url string) error {
		_, err := newClient(t, url, transport).Get(t.Context(), "", nil, nil, 1)
		return err
	})
}

// TestProxy checks that calls are sent through the proxy in HTTPS_PROXY.
func TestProxy(t *testing.T) {
	testutil.WantProxied(t, func() {
		_, _ = newClient(t, "https://service.invalid", nil).Get(t.Context(), "", nil, nil, 1)
	})
}
