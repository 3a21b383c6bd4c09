package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	c := a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert = c.Leaf
	return a
}

// issue returns a certificate for a server and for the client of that address.
func (a *authority) issue(t *testing.T, email string) *tls.Certificate {
	t.Helper()
	return a.sign(t, &x509.Certificate{
		DNSNames:       []string{"server.example"},
		EmailAddresses: []string{email},
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// sign completes and signs a certificate; the first one with its own key.
func (a *authority) sign(t *testing.T, c *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// handshake returns what a server that trusts a knows of its client.
func (a *authority) handshake(t *testing.T, auth tls.ClientAuthType, client *tls.Certificate) *tls.ConnectionState {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	server := tls.Server(near, &tls.Config{
		Certificates: []tls.Certificate{*a.issue(t, "server@x.io")},
		ClientCAs:    pool,
		ClientAuth:   auth,
	})
	done := make(chan error, 1)
	go func() {
		c := tls.Client(far, &tls.Config{
			RootCAs:    pool,
			ServerName: "server.example",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if client == nil {
					return new(tls.Certificate), nil
				}
				return client, nil
			},
		})
		err := c.Handshake()
		done <- err
		_, _ = c.Read(make([]byte, 1)) // takes the server's session ticket
	}()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	state := server.ConnectionState()
	return &state
}
