package caddymodule_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestH15_CertificatesOfTheService: nobody gets a token, nothing is sent, and
// the log says why.
func TestH15_CertificatesOfTheService(t *testing.T) {
	forBoth(t, func(t *testing.T, p provider) {
		ca, other := newAuthority(t, "the service's authority"), newAuthority(t, "another authority")
		trust := "tls {\nca " + ca.file + "\n}\n"
		if p.name == "human_api" { // has no such option
			ca, trust = systemAuthority, ""
		}
		good := func() *x509.Certificate {
			return &x509.Certificate{
				SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
				IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}
		}
		expired, elsewhere := good(), good()
		expired.NotAfter = time.Now().Add(-time.Hour)
		elsewhere.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)}
		for _, test := range []struct {
			name     string
			template *x509.Certificate
			signer   *authority // nil: itself
			why      string
		}{
			{"good", good(), ca, ""},
			{"self-signed", good(), nil, "certificate is signed by an unknown authority"},
			{"another authority's", good(), other, "certificate is signed by an unknown authority"},
			{"expired", expired, ca, "certificate has expired or is not yet valid"},
			{"another host's", elsewhere, ca, "certificate is for another host"},
			{"none at all", nil, nil, "does not speak TLS"},
		} {
			t.Run(test.name, func(t *testing.T) {
				asked := make(chan struct{}, 10)
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					asked <- struct{}{}
					_, _ = io.WriteString(w, p.granted("a", "3600"))
				}))
				srv.Config.ErrorLog = log.New(io.Discard, "", 0)
				if test.why == "" && p.name == "human_api" && (runtime.GOOS == "darwin" || runtime.GOOS == "windows") {
					t.Skip("the system's authorities cannot be chosen here")
				}
				if test.template != nil {
					parent, signer := test.template, (*ecdsa.PrivateKey)(nil)
					if test.signer != nil {
						parent, signer = test.signer.cert, test.signer.key
					}
					key, der := ca.sign(test.template, parent, signer)
					srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
					srv.StartTLS()
				} else {
					srv.Start()
				}
				t.Cleanup(srv.Close)
				h := &fakeHuma{URL: "https://" + srv.Listener.Addr().String()}
				s := serve(t, p.site(h, trust+"retries 0"))
				a := s.request("GET", p.ask(), as("alice@x.example"))
				if test.why == "" {
					a.token(t, p)
					return
				}
				a.problem(t, 503, "upstream_unavailable")
				if found := s.lines("no token granted"); len(found) != 1 || !strings.Contains(found[0], test.why) {
					t.Errorf("the log has %q, want one line with %q", found, test.why)
				}
				if len(asked) > 0 {
					t.Error("a request was sent")
				}
				s.noSecretsInLog("sandbox-secret", "alice@x.example")
			})
		}
	})
}
