package caddymodule_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// clientCertificate returns the certificate of a user. If a is nil, it is self-signed.
func clientCertificate(a *testutil.Authority, emails ...string) *tls.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "a user"}, EmailAddresses: emails,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if a == nil {
		return testutil.SelfSigned(template)
	}
	return a.Issue(template)
}

func TestI14_ClientCertificates(t *testing.T) {
	ours, theirs := testutil.NewAuthority(t.TempDir(), "ours"), testutil.NewAuthority(t.TempDir(), "theirs")
	certFile, keyFile := ours.ServerFiles()
	alice, bob := clientCertificate(ours, "alice@x.example"), clientCertificate(ours, "bob@x.example")
	two, none := clientCertificate(ours, "alice@x.example", "bob@x.example"), clientCertificate(ours)
	self, foreign := clientCertificate(nil, "alice@x.example"), clientCertificate(theirs, "alice@x.example")
	pool := "trust_pool file " + ours.File

	const source, list = "{http.request.tls.client.san.emails.0}", "{http.request.tls.client.san.emails}"
	for _, c := range []struct {
		name               string
		mode, pool, source string
		want               map[*tls.Certificate]string // user, error code, or empty if the handshake fails
	}{
		{"no client_auth", "", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted"}},
		{"request", "request", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		{"request, a pool", "request", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		{"require", "require", "", source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		{"require, a pool", "require", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		{"verify_if_given", "verify_if_given", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "alice@x.example", bob: "bob@x.example", self: "", foreign: "", none: "identity_missing"}},
		{"require_and_verify", "require_and_verify", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "alice@x.example", bob: "bob@x.example", two: "alice@x.example", self: "", foreign: "", none: "identity_missing"}},
		{"the list", "require_and_verify", pool, list, map[*tls.Certificate]string{
			alice: "alice@x.example", two: "identity_invalid", none: "identity_missing", self: ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(freeAddress(t))
			address, auth := "https://localhost:"+port, "" // with client_auth Caddy demands SNI, which IP addresses do not have
			if c.mode != "" {
				auth = "client_auth {\nmode " + c.mode + "\n" + c.pool + "\n}"
			}
			d := open(t, address+" {\nbind 127.0.0.1\ntls "+certFile+" "+keyFile+" {\n"+auth+"\n}\nhuma_token {\nHUMA\nidentity {\nemail "+c.source+"\n}\n}\n}")
			roots := ours.Pool
			for cert, want := range c.want {
				config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if cert != nil {
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				}
				over := d.at(address)
				over.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
				// The second connection resumes the session of the first one.
				for range 2 {
					switch {
					case want == "":
						before := len(d.huma.Calls().Calls)
						if a, err := over.tryRequest(t.Context(), "GET", path); err == nil {
							t.Errorf("a response without a handshake: %d %s", a.StatusCode, a.Body)
						}
						d.wantNoCalls(t, before)
					case strings.Contains(want, "@"):
						over.wantTokenOf(t, want, path)
					default:
						over.wantRejection(t, 401, want, path)
					}
				}
			}
			if c.want[alice] == "identity_untrusted" && len(d.logLines("client_auth")) == 0 {
				t.Error("the log does not name the option client_auth")
			}
			d.notLogged(t, "@x.example")
		})
	}
}
