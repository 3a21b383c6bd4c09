package testutil

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The functions in this file panic on errors.

// NewRSAKey generates a private key, which is slow.
func NewRSAKey(bits int) *rsa.PrivateKey { return Must(rsa.GenerateKey(rand.Reader, bits)) }

// NewECKey generates a private key.
func NewECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return Must(ecdsa.GenerateKey(curve, rand.Reader))
}

// PublicPEM returns the public key of a private key in PEM format.
func PublicPEM(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: Must(x509.MarshalPKIXPublicKey(key.Public()))})
}

// CertificatePEM returns a certificate in PEM format.
func CertificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// WriteCertificate writes a certificate and its key to dir and returns the paths
// of the files.
func WriteCertificate(dir string, c *tls.Certificate) (certFile, keyFile string) {
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: Must(x509.MarshalPKCS8PrivateKey(c.PrivateKey))})
	leaf := Must(x509.ParseCertificate(c.Certificate[0]))
	return writeFile(dir, "cert.pem", CertificatePEM(leaf)), writeFile(dir, "key.pem", key)
}

// writeFile writes a file that only this user can read, and returns its path.
func writeFile(dir, name string, content []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		panic(err)
	}
	return path
}

// Authority is a certificate authority.
type Authority struct {
	Certificate *x509.Certificate
	Pool        *x509.CertPool // has only this authority
	File        string         // path of the certificate in PEM format

	dir string
	key *ecdsa.PrivateKey
}

// NewAuthority creates an authority, which writes its files to dir. name is the common
// name of its certificate.
func NewAuthority(dir, name string) *Authority {
	c := SelfSigned(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a := &Authority{Certificate: c.Leaf, Pool: x509.NewCertPool(), dir: dir, key: c.PrivateKey.(*ecdsa.PrivateKey)}
	a.Pool.AddCert(c.Leaf)
	a.File = writeFile(dir, "ca.pem", CertificatePEM(c.Leaf))
	return a
}

// Issue generates a key and issues a certificate for it. By default, the certificate
// has a new serial number, and is valid from two hours ago until an hour from now.
func (a *Authority) Issue(template *x509.Certificate) *tls.Certificate {
	return sign(template, a.Certificate, a.key)
}

// Server issues a certificate for a server on a loopback address.
func (a *Authority) Server() *tls.Certificate { return a.Issue(Loopback()) }

// ServerFiles is Server that writes files and returns their paths.
func (a *Authority) ServerFiles() (certFile, keyFile string) {
	return WriteCertificate(a.dir, a.Server())
}

// Loopback returns a template for the certificate of a server on a loopback address.
func Loopback() *x509.Certificate {
	return &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// SelfSigned generates a key and a self-signed certificate, as Authority.Issue does.
func SelfSigned(template *x509.Certificate) *tls.Certificate { return sign(template, template, nil) }

// sign generates a key and a certificate for it. If signer is nil, it is self-signed.
func sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) *tls.Certificate {
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-2 * time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	key := NewECKey(elliptic.P256())
	if signer == nil {
		signer = key
	}
	der := Must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: Must(x509.ParseCertificate(der))}
}
