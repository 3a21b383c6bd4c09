package caddymodule_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

// startup stands in for a test before there is one.
type startup struct {
	testing.TB
	dir string
}

func (startup) Helper()           {}
func (s startup) TempDir() string { return s.dir }
func (startup) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	var der []byte
	a.key, der = a.sign(template, template, nil)
	a.cert, _ = x509.ParseCertificate(der)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

// sign makes a key and a certificate for it, signed by itself if there is no
// signer.
func (a *authority) sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// pool trusts the authority alone.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// server makes the certificate of the site, in files.
func (a *authority) server() (cert, key string) {
	a.t.Helper()
	k, der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, a.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write("server.pem", "CERTIFICATE", der), a.write("server.key", "PRIVATE KEY", keyDER)
}

// client makes a user's certificate, of the authority or of nobody.
func (a *authority) client(selfSigned bool, emails ...string) *tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "a user"}, EmailAddresses: emails, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.cert, a.key
	if selfSigned {
		parent, signer = template, nil
	}
	key, der := a.sign(template, parent, signer)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestI14_ClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	certFile, keyFile := ours.server()
	alice, bob := ours.client(false, "alice@x.example"), ours.client(false, "bob@x.example")
	two, none := ours.client(false, "alice@x.example", "bob@x.example"), ours.client(false)
	self, foreign := ours.client(true, "alice@x.example"), theirs.client(false, "alice@x.example")
	pool := "trust_pool file " + ours.file

	const source, list = "{http.request.tls.client.san.emails.0}", "{http.request.tls.client.san.emails}"
	for name, c := range map[string]struct {
		mode, pool, source string
		want               map[*tls.Certificate]string // user, code, or nothing where there is no handshake
	}{
		"no client_auth": {"", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted"}},
		"request": {"request", "", source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"request, a pool": {"request", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"require": {"require", "", source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"require, a pool": {"require", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "identity_untrusted", self: "identity_untrusted", foreign: "identity_untrusted"}},
		"verify_if_given": {"verify_if_given", pool, source, map[*tls.Certificate]string{
			nil: "identity_untrusted", alice: "alice@x.example", bob: "bob@x.example", self: "", foreign: "", none: "identity_missing"}},
		"require_and_verify": {"require_and_verify", pool, source, map[*tls.Certificate]string{
			nil: "", alice: "alice@x.example", bob: "bob@x.example", two: "alice@x.example", self: "", foreign: "", none: "identity_missing"}},
		"the list": {"require_and_verify", pool, list, map[*tls.Certificate]string{
			alice: "alice@x.example", two: "identity_invalid", none: "identity_missing", self: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(freeAddress(t))
			address, auth := "https://localhost:"+port, "" // with client_auth Caddy wants SNI, and addresses have none
			if c.mode != "" {
				auth = "client_auth {\nmode " + c.mode + "\n" + c.pool + "\n}"
			}
			d := open(t, address+" {\nbind 127.0.0.1\ntls "+certFile+" "+keyFile+" {\n"+auth+"\n}\nhuma_token {\nHUMA\nidentity {\nemail "+c.source+"\n}\n}\n}")
			roots := ours.pool()
			for cert, want := range c.want {
				config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if cert != nil {
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
				}
				over := d.at(address)
				over.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
				// Twice: the second connection resumes the first one's session.
				for range 2 {
					switch {
					case want == "":
						before := len(d.huma.Calls().Calls)
						if a, err := over.try(t.Context(), "GET", path); err == nil {
							t.Errorf("there is an answer without a handshake: %d %s", a.StatusCode, a.Body)
						}
						d.untouched(t, before)
					case strings.Contains(want, "@"):
						over.granted(t, want, path)
					default:
						over.refused(t, 401, want, path)
					}
				}
			}
			d.quiet(t, "@x.example")
		})
	}
}
