package dryrun

import (
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// Request returns a GET request for the directive without a body, as a client of the site
// sends it: for the directive's first host and path, and with TLS if clients use it. It
// has no remote address and an empty header.
func (d *Directive) Request() *identity.Request {
	r := &identity.Request{Host: "localhost", Method: http.MethodGet, URI: d.Service.Path, Header: make(http.Header)}
	if hosts := d.Place.Hosts; len(hosts) > 0 {
		r.Host = strings.ReplaceAll(hosts[0], "*", "x")
	}
	if paths := d.Place.Paths; len(paths) > 0 && !strings.Contains(paths[0], "*") {
		r.URI = paths[0]
	}
	if d.servesTLS() {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return r
}

// servesTLS reports whether clients of the site use TLS: Caddy has a certificate for the
// site, or the server trusts a proxy in front, which normally terminates TLS.
func (d *Directive) servesTLS() bool {
	s := d.Server
	switch {
	case s == nil:
		return false
	case d.Proxy.Set, d.Proxy.Unknown, s.TrustedProxiesUnix, len(s.TLSConnPolicies) > 0:
		return true
	case s.AutoHTTPS != nil && s.AutoHTTPS.Disabled:
		return false
	}
	if _, port, err := net.SplitHostPort(d.Place.Listen); err == nil && port == "80" {
		return false
	}
	return slices.ContainsFunc(d.Place.Hosts, func(host string) bool {
		return s.AutoHTTPS == nil || !slices.Contains(s.AutoHTTPS.Skip, host)
	})
}
