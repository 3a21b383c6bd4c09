package identity

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// issue returns a certificate for a server and for a client with this address.
func issue(a *testutil.Authority, email string) *tls.Certificate {
	return a.Issue(&x509.Certificate{
		Subject:        pkix.Name{CommonName: "test"},
		DNSNames:       []string{"server.example"},
		EmailAddresses: []string{email},
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// handshake returns the connection state of a server that trusts a.
func handshake(t *testing.T, a *testutil.Authority, auth tls.ClientAuthType, client *tls.Certificate) *tls.ConnectionState {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	server := tls.Server(near, &tls.Config{
		Certificates: []tls.Certificate{*issue(a, "server@x.io")},
		ClientCAs:    a.Pool,
		ClientAuth:   auth,
	})
	done := make(chan error, 1)
	go func() {
		c := tls.Client(far, &tls.Config{
			RootCAs:    a.Pool,
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
		_, _ = c.Read(make([]byte, 1)) // reads the server's session ticket
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
