package caddymodule

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/resilience"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/textfile"
)

// tlsSettings are the contents of the files that the tls option names.
type tlsSettings struct{ ca, certificate, key []byte }

// readTLS reads the files of the tls option.
func (h *HumaToken) readTLS(p *option.Problems) tlsSettings {
	if h.TLS == nil {
		return tlsSettings{}
	}
	read := func(option, path string) []byte {
		path = p.Text(option, path)
		if path == "" {
			return nil
		}
		b, err := textfile.Read(path)
		if err != nil {
			p.Add(option, err)
			return nil
		}
		return b
	}
	if (h.TLS.ClientCertificate == "") != (h.TLS.ClientKey == "") {
		p.Addf("client_certificate", "a certificate and a key are needed, or none of them")
	}
	return tlsSettings{
		ca:          read("ca", h.TLS.CA),
		certificate: read("client_certificate", h.TLS.ClientCertificate),
		key:         read("client_certificate", h.TLS.ClientKey),
	}
}

// transportSettings make a transport. The fingerprint is of the files'
// contents, so that new contents make a new transport.
type transportSettings struct {
	tls         *tls.Config
	maxConns    int
	fingerprint []byte
}

func newTransport(s tlsSettings, maxConns int, p *option.Problems) transportSettings {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.ca != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(s.ca) {
			p.Add("ca", errors.New("the file holds no certificate in PEM form"))
		}
	}
	if s.certificate != nil && s.key != nil {
		pair, err := tls.X509KeyPair(s.certificate, s.key)
		if err != nil {
			p.Add("client_certificate", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.ca, s.certificate, s.key))
	return transportSettings{tls: config, maxConns: maxConns, fingerprint: sum[:]}
}

// build makes the transport. Idle connections are kept for as many calls as
// may run at once, so that in a steady state nobody waits for a handshake.
func (s transportSettings) build() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       s.tls,
		TLSHandshakeTimeout:   10 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // a small answer that unpacks to a large one is refused by never being unpacked
		MaxConnsPerHost:       s.maxConns,
		MaxIdleConns:          s.maxConns,
		MaxIdleConnsPerHost:   s.maxConns,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A connection that died silently is found by a ping, not by a user.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 2 * time.Second},
	}
}

// call makes one call at the service, within the limits and with the retries
// of this handler. A sign-up is never repeated, and may take whatever time the
// exchange has left: cutting it short would leave its end unclear.
func (e *endpoint) call(ctx context.Context, op exchange.Op, call func(context.Context) error) error {
	l := resilience.Limits{
		AttemptTimeout: time.Duration(cmp.Or(e.common.AttemptTimeout, defaultAttemptTimeout)),
		Retries:        *cmp.Or(e.common.Retries, &defaultRetries),
		User:           string(exchange.UserFrom(ctx)),
		Continues:      exchange.Continues(ctx),
	}
	switch op {
	case exchange.OpSignUp:
		l.AttemptTimeout, l.Retries, l.Long = 0, 0, true
	case exchange.OpConsent:
		l.Retries = 0
	}
	e.upstream.onBreaker.Store(&e.onBreaker)
	return e.upstream.guard.Do(ctx, l, func(ctx context.Context) error { return e.observed(ctx, op, call) })
}
