package account

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/resilience"
)

// The state that survives a reload of the config, also a reload that is rejected. The
// pools count the handlers that use a value. The values do not depend on a config, which
// may be unloaded, and constructing them does no I/O.
var (
	// Accounts is the pool of *Account, by account key.
	Accounts = caddy.NewUsagePool()

	// Upstreams is the pool of *Upstream, by account key and Limits.UpstreamKey.
	Upstreams = caddy.NewUsagePool()

	// Registrations holds the state of sign-ups, such as holds. It belongs to the
	// process: a hold also survives a config without the directive. Its keys
	// differ for different services.
	Registrations = login.NewRegistrations()
)

// Upstream holds the connections to a service, the circuit breaker and the limit on
// concurrent calls. If one of their settings changes, a new Upstream starts with a closed
// breaker and without connections.
type Upstream struct {
	Service   string // the name of the service
	Transport *http.Transport
	Client    *resilience.Client

	// OnBreaker is called when the breaker opens or closes. It is set by the handler
	// that made the most recent call. The config of that handler runs, or was
	// unloaded a moment ago. Nil: no call.
	OnBreaker atomic.Pointer[func(open bool)]
}

// NewUpstream returns an *Upstream to the named service. The error is always nil.
func NewUpstream(service string, l Limits, transport *http.Transport) (caddy.Destructor, error) {
	u := &Upstream{Service: service, Transport: transport}
	settings := resilience.Settings{MaxConcurrent: l.MaxConcurrent, OnBreaker: u.breakerChanged}
	if !l.BreakerOff {
		settings.Breaker = &resilience.BreakerSettings{Failures: l.Failures, Open: l.Open}
	}
	u.Client = resilience.New(settings)
	return u, nil
}

// Destruct implements caddy.Destructor. It closes idle connections only: exchanges of
// the unloaded config may still use the upstream.
func (u *Upstream) Destruct() error {
	u.Transport.CloseIdleConnections()
	return nil
}

// breakerChanged logs that the breaker has opened or closed, and calls OnBreaker. It logs
// with the current default logger, because the config that created the breaker may be
// unloaded.
func (u *Upstream) breakerChanged(open bool) {
	log := caddy.Log().Named(u.Service)
	if open {
		log.Warn("circuit breaker opened; pausing calls to the service", zap.Bool("open", open))
	} else {
		log.Info("circuit breaker closed; resuming calls to the service", zap.Bool("open", open))
	}
	if f := u.OnBreaker.Load(); f != nil {
		(*f)(open)
	}
}

// TLSFiles are the contents of the files of the option tls, in PEM form. Nil: not set.
type TLSFiles struct{ CA, Certificate, Key []byte }

// TransportSettings are the settings of a transport. Fingerprint is a hash of the TLS
// files' contents, so that new contents lead to a new transport. Get one from
// NewTransport.
type TransportSettings struct {
	tls         *tls.Config
	maxConns    int
	Fingerprint []byte
}

// NewTransport returns the settings of a transport with at most maxConns connections per
// host. It adds errors in the TLS files to p. Without CA the transport uses the system's
// root certificates. It requires TLS 1.2 or newer.
func NewTransport(s TLSFiles, maxConns int, p *option.Errors) TransportSettings {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(s.CA) {
			p.Add("ca", errors.New("no PEM certificate found in the file"))
		}
	}
	if s.Certificate != nil && s.Key != nil {
		pair, err := tls.X509KeyPair(s.Certificate, s.Key)
		if err != nil {
			p.Add("client_certificate", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", s.CA, s.Certificate, s.Key))
	return TransportSettings{tls: config, maxConns: maxConns, Fingerprint: sum[:]}
}

// The health check of HTTP/2 connections. If a connection has received nothing for
// PingAfter, the transport sends a ping, and closes the connection if there is no
// response within PingTimeout. So a connection that died silently is detected by a ping,
// not by the request of a user. Tests set shorter times.
var (
	PingAfter   = 3 * time.Second
	PingTimeout = 2 * time.Second
)

// Build returns a new transport. It allows as many idle connections as concurrent calls,
// so that in a steady state no call waits for a handshake.
func (s TransportSettings) Build() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        s.tls,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // protects from a small response that decompresses to a huge one
		MaxConnsPerHost:        s.maxConns,
		MaxIdleConns:           s.maxConns,
		MaxIdleConnsPerHost:    s.maxConns,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: PingAfter, PingTimeout: PingTimeout},
	}
}
