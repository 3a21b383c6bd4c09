package caddymodule_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestH15_CertificatesOfTheService checks that with an invalid certificate the request is
// not sent, the client gets an error, and the log contains the reason.
func TestH15_CertificatesOfTheService(t *testing.T) {
	forBoth(t, func(t *testing.T, p service) {
		ca, other := testutil.NewAuthority(t.TempDir(), "the service's authority"), testutil.NewAuthority(t.TempDir(), "another authority")
		trust := "tls {\nca " + ca.File + "\n}\n"
		if p.name == "human_api" { // human_api_token has no option tls
			ca, trust = systemAuthority, ""
		}
		expired, elsewhere := testutil.Loopback(), testutil.Loopback()
		expired.NotAfter = time.Now().Add(-time.Hour)
		elsewhere.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)}
		for _, test := range []struct {
			name     string
			template *x509.Certificate
			signer   *testutil.Authority // nil: self-signed
			why      string
		}{
			{"good", testutil.Loopback(), ca, ""},
			{"self-signed", testutil.Loopback(), nil, "certificate is not trusted: unknown authority"},
			{"another authority's", testutil.Loopback(), other, "certificate is not trusted: unknown authority"},
			{"expired", expired, ca, "certificate has expired or is not yet valid"},
			{"another host's", elsewhere, ca, "certificate is not valid for this host"},
			{"none at all", nil, nil, "does not speak TLS"},
		} {
			t.Run(test.name, func(t *testing.T) {
				received := make(chan struct{}, 10)
				if test.why == "" && p.name == "human_api" && (runtime.GOOS == "darwin" || runtime.GOOS == "windows") {
					t.Skip("the system's authorities cannot be configured in this test")
				}
				h := &fakeHuma{URL: serveTLS(t, func(w http.ResponseWriter, _ *http.Request) {
					received <- struct{}{}
					_, _ = io.WriteString(w, p.successBody("a", "3600"))
				}, test.template, test.signer)}
				s := serve(t, p.site(h, trust+"retries 0"))
				a := s.request("GET", p.target(), as("alice@x.example"))
				if test.why == "" {
					a.token(t, p)
					return
				}
				a.problem(t, 503, "upstream_unavailable")
				if found := s.logLines("token exchange failed"); len(found) != 1 || !strings.Contains(found[0], test.why) {
					t.Errorf("the log has %q, want one line with %q", found, test.why)
				}
				if len(received) > 0 {
					t.Error("a request was sent")
				}
				s.noSecretsInLog("sandbox-secret", "alice@x.example")
			})
		}
	})
}
