package neterror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

// TestPlain checks that every error has a text, and that none quotes what net/http read
// or was given.
func TestPlain(t *testing.T) {
	const canary = "canary-in-a-url"
	for want, err := range map[string]error{
		"the service's certificate is not trusted: unknown authority":        &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		"the service's certificate is not valid for this host":               x509.HostnameError{Certificate: new(x509.Certificate), Host: canary},
		"the service's certificate has expired or is not yet valid":          x509.CertificateInvalidError{Reason: x509.Expired, Detail: canary},
		"the service's certificate is not trusted: verification failed":      x509.CertificateInvalidError{Reason: x509.TooManyIntermediates, Detail: canary},
		"the service does not speak TLS":                                     tls.RecordHeaderError{Msg: canary},
		"connection canceled":                                                context.Canceled,
		"dial tcp 127.0.0.1:1: connect: connection refused":                  &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: errors.New("connect: connection refused")},
		"lookup service.invalid: no such host":                               &net.DNSError{Err: "no such host", Name: "service.invalid", IsNotFound: true},
		syscall.ECONNRESET.Error():                                           syscall.ECONNRESET,
		"tls: handshake failure":                                             tls.AlertError(40),
		"timed out":                                                          context.DeadlineExceeded,
		"the service closed the connection before the response was complete": io.ErrUnexpectedEOF,
		"the service sent a response header of more than 64 KiB":             fmt.Errorf("net/http: server response headers exceeded 65536 bytes; aborted: %s", canary),
		"connect through the proxy: unexpected status 407":                   errors.New("Proxy Authentication Required"),
		"connection lost, or the response is not HTTP":                       fmt.Errorf("malformed %s", canary),
	} {
		got := Plain("the service", true, &url.Error{Op: "Get", URL: "https://" + canary, Err: err}).Error()
		if strings.HasPrefix(want, "connect through") { // net/http returns it as the bare reason phrase
			got = Plain("the service", true, err).Error()
		}
		if got != want {
			t.Errorf("%T: %q, want %q", err, got, want)
		}
		if strings.Contains(got, canary) {
			t.Errorf("%T: quoted: %q", err, got)
		}
	}
	if got := Plain("the service", false, errors.New(canary)).Error(); got != "cannot connect" {
		t.Errorf("before it was sent: %q", got)
	}
}
