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

// What has to survive a reload of the config, also one that is rejected, lives
// here: in pools, counted by the handlers that use it, or in the process.
// Nothing of it depends on a config that may go away, and constructing it does
// no I/O.
var (
	Accounts  = caddy.NewUsagePool() // account key → *account
	Upstreams = caddy.NewUsagePool() // account key and limits → *upstream

	// registrations is the process's: a hold outlives also a config without
	// the directive. Its keys tell services apart.
	Registrations = login.NewRegistrations()
)

// Upstream is the way to the service: its connections, the breaker and the
// limit on calls. With other settings of these it is another upstream, which
// starts afresh.
type Upstream struct {
	Service   string // its name
	Transport *http.Transport
	Guard     *resilience.Client

	// onBreaker is called when the breaker opens or closes: a function of the
	// handler that has made a call most recently, whose config runs, or has until a
	// moment ago.
	OnBreaker atomic.Pointer[func(open bool)]
}

// NewUpstream returns an Upstream to a service, with its limits.
func NewUpstream(provider string, l Limits, transport *http.Transport) (caddy.Destructor, error) {
	u := &Upstream{Service: provider, Transport: transport}
	settings := resilience.Settings{MaxConcurrent: l.MaxConcurrent, OnBreaker: u.breakerChanged}
	if !l.BreakerOff {
		settings.Breaker = &resilience.BreakerSettings{Failures: l.Failures, Open: l.Open}
	}
	u.Guard = resilience.New(settings)
	return u, nil
}

// Destruct implements caddy.Destructor. The upstream goes on serving exchanges
// of the old config; only connections that nobody uses are closed.
func (u *Upstream) Destruct() error {
	u.Transport.CloseIdleConnections()
	return nil
}

// breakerChanged tells that the breaker has opened or closed. It logs with the
// logger of the moment: the one of the config that made the breaker may be gone.
func (u *Upstream) breakerChanged(open bool) {
	log := caddy.Log().Named(u.Service)
	if open {
		log.Warn("breaker opened: the service is down, calls are not made for a while", zap.Bool("open", open))
	} else {
		log.Info("breaker closed: the service answers again", zap.Bool("open", open))
	}
	if f := u.OnBreaker.Load(); f != nil {
		(*f)(open)
	}
}

// TLSFiles are the contents of the files that the tls option names.
type TLSFiles struct{ CA, Certificate, Key []byte }

// TransportSettings make a transport. The fingerprint is of the files'
// contents, so that new contents make a new transport.
type TransportSettings struct {
	tls         *tls.Config
	maxConns    int
	Fingerprint []byte
}

// NewTransport checks the files of the option tls, and returns how to make a transport
// for so many connections.
func NewTransport(s TLSFiles, maxConns int, p *option.Errors) TransportSettings {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(s.CA) {
			p.Add("ca", errors.New("the file holds no certificate in PEM form"))
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

// After PingAfter without a word from the service a connection is pinged, and closed
// without an answer within PingTimeout: one that died silently is found by a ping,
// not by a user. They are shorter in tests.
var (
	PingAfter   = 3 * time.Second
	PingTimeout = 2 * time.Second
)

// Build makes the transport. Idle connections are kept for as many calls as
// may run at once, so that in a steady state nobody waits for a handshake.
func (s TransportSettings) Build() *http.Transport {
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
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: PingAfter, PingTimeout: PingTimeout},
	}
}
