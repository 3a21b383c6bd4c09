// Package neterror converts errors of network calls to errors that are safe to log.
package neterror

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Plain converts an error of net/http to one without sensitive text.
//
// Errors of net/http quote what was received (a malformed header, the debug text of
// HTTP/2) and what was configured (a URL with its query, a proxy's password). Plain
// returns known error types, and its own text for all others. peer names the server in
// that text, for example "the service". sent says whether the caller
// knows that the request was sent.
func Plain(peer string, sent bool, err error) error {
	if problem := certificateError(err); problem != "" {
		return fmt.Errorf("%s's certificate %s", peer, problem)
	}
	var (
		op      *net.OpError
		dns     *net.DNSError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		errno   syscall.Errno
		timeout net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		// Canceled, but not by the caller: context.Canceled would look as if the client
		// had canceled the request.
		return errors.New("connection canceled")
	case errors.As(err, &op):
		return op // dial tcp 127.0.0.1:3000: connect: connection refused
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &alert):
		return alert
	case errors.As(err, &record):
		return fmt.Errorf("%s does not speak TLS", peer)
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("timed out")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection before the response was complete", peer)
	}
	if isHeaderTooLong(err) {
		return fmt.Errorf("%s sent a response header of more than 64 KiB", peer)
	}
	if status := proxyStatus(err); status != 0 {
		return fmt.Errorf("connect through the proxy: unexpected status %d", status)
	}
	if sent {
		return errors.New("connection lost, or the response is not HTTP")
	}
	return errors.New("cannot connect")
}

// isHeaderTooLong reports whether err says that a response header exceeds the limit of
// the transport (http.Transport.MaxResponseHeaderBytes), which is 64 KiB everywhere. The
// errors have no type of their own: the first is that of HTTP/1.1, the second of HTTP/2.
func isHeaderTooLong(err error) bool {
	text := err.Error()
	return strings.Contains(text, "server response headers exceeded") || strings.Contains(text, "response header list larger than advertised limit")
}

// certificateError returns why a certificate was rejected, without the names in it.
// It returns "" if err is not about a certificate.
func certificateError(err error) string {
	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return "is not trusted: unknown authority"
	case errors.As(err, &hostname):
		return "is not valid for this host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has expired or is not yet valid"
	case errors.As(err, &invalid), errors.As(err, &verification):
		return "is not trusted: verification failed"
	}
	return ""
}

// proxyStatus returns the status with which a proxy refused a connection, or 0.
// net/http returns such an error as the bare reason phrase.
func proxyStatus(err error) int {
	for status := 400; status < 600; status++ {
		if text := http.StatusText(status); text != "" && text == err.Error() {
			return status
		}
	}
	return 0
}
