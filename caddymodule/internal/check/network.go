package check

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/humatoken"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/record"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkDNS checks whether the host name of the service resolves, or that of the proxy, if
// calls go through a proxy (HTTPS_PROXY).
func checkDNS(t *target) report.Entry {
	c, skip := t.firstCall()
	name := c.Network.Host
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if c.Proxy != "" {
		name = "the proxy " + c.Proxy
		_, err = netip.ParseAddrPort(c.Proxy)
	}
	switch {
	case skip != "":
		return report.NewSkipped("%s", skip)
	case c.Network.Lookup != nil:
		fix := "correct the option api, or the URL in the config_file; or fix the DNS resolver of this machine (/etc/resolv.conf)"
		if c.Proxy != "" {
			fix = "correct HTTPS_PROXY, or fix the DNS resolver of this machine (/etc/resolv.conf)"
		}
		return report.NewProblem(fix, "%v", c.Network.Lookup)
	case len(c.Network.Addresses) > 0:
		return report.NewOK("%s resolves to %s", name, strings.Join(c.Network.Addresses, ", "))
	case err == nil:
		return report.NewSkipped("%s is an IP address", name)
	}
	return report.NewSkipped("no DNS lookup of %s", name)
}

// checkConnection checks the TCP connection to the service, or to the proxy in between.
func checkConnection(t *target) report.Entry {
	c, skip := t.firstCall()
	n := c.Network
	fix := "check the host and port of the option api; allow outgoing connections to it (firewall, security group, network policy), or set HTTPS_PROXY if a proxy is required"
	if c.Proxy != "" {
		fix = "correct HTTPS_PROXY, or start the proxy; NO_PROXY=" + n.Host + " bypasses it"
	}
	switch {
	case skip != "":
		return report.NewSkipped("%s", skip)
	case n.Lookup != nil:
		return report.NewSkipped("no IP address to connect to")
	case n.Dial != nil:
		return report.NewProblem(fix, "%v", n.Dial)
	case n.Connected == "":
		return report.NewProblem(fix, "timed out after %s", c.Took.Round(time.Millisecond))
	case c.Proxy != "" && !connected(c) && n.Handshake == nil:
		return report.NewProblem("allow "+n.Host+" in the proxy, or correct HTTPS_PROXY; NO_PROXY="+n.Host+" bypasses it",
			"the proxy %s does not connect to %s", c.Proxy, n.Host)
	case c.Proxy != "":
		return report.NewOK("connected through the proxy %s (HTTPS_PROXY)", c.Proxy)
	}
	return report.NewOK("connected to %s", n.Connected)
}

// connected reports whether a call had a connection to the service: a TCP connection for
// http, a TLS connection for https.
func connected(c record.Call) bool {
	return c.Network.Connected != "" && (strings.HasPrefix(c.URL, "http:") || c.Network.TLS != nil)
}

// checkTLS checks whether the directive trusts the service's certificate.
func checkTLS(t *target) report.Entry {
	c, skip := t.firstCall()
	n := c.Network
	var op *net.OpError
	switch {
	case skip != "":
		return report.NewSkipped("%s", skip)
	case strings.HasPrefix(c.URL, "http:"):
		return report.NewSkipped("the option api uses http")
	case errors.As(n.Failure, &op) && op.Op == "remote error":
		return report.NewProblem(t.clientCertificateFix(), "the service closed the connection: %v; it may require a client certificate", op.Err)
	case n.TLS != nil:
		leaf := n.TLS.PeerCertificates[0]
		return report.NewOK("the certificate of %s, issued by %s, is valid until %s", n.Host, issuerName(leaf), formatDate(leaf.NotAfter))
	case n.Handshake != nil:
		return t.handshakeProblem(c)
	case n.Connected != "" && c.Proxy == "":
		return report.NewProblem(portFix, "TLS handshake timed out after %s", c.Took.Round(time.Millisecond))
	}
	return report.NewSkipped("no connection")
}

// portFix is the fix if the service does not complete a TLS handshake.
const portFix = "check that the port in the option api is an https port"

// handshakeProblem returns the result for a failed TLS handshake, such as a certificate
// that is not trusted.
func (t *target) handshakeProblem(c record.Call) report.Entry {
	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		n            = c.Network
		now          = time.Now()
	)
	switch err := n.Handshake; {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return report.NewProblem("set this machine's clock if it is wrong; otherwise wait, or replace the certificate",
			"the certificate of %s is not valid before %s; this machine's clock is at %s", n.Host, formatTime(invalid.Cert.NotBefore), formatTime(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return report.NewProblem("set this machine's clock if it is wrong; otherwise ask the operator of "+n.Host+" to renew the certificate",
			"the certificate of %s has expired: it was valid until %s; this machine's clock is at %s", n.Host, formatTime(invalid.Cert.NotAfter), formatTime(now))
	case errors.As(err, &hostname):
		return report.NewProblem("correct the host in the option api, or issue the certificate for "+n.Host,
			"the certificate is valid for %s, not for %s", formatNames(hostname.Certificate), n.Host)
	case errors.As(err, &unknown) && errors.As(err, &verification) && selfSigned(verification.UnverifiedCertificates):
		return report.NewProblem(t.trustFix(), "the certificate of %s is self-signed and not trusted", n.Host)
	case errors.As(err, &unknown) && errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0:
		return report.NewProblem(t.trustFix(), "the certificate of %s is signed by an unknown authority: %s", n.Host, issuerName(verification.UnverifiedCertificates[0]))
	}
	return report.NewProblem(portFix, "%v", neterror.Plain("the service", true, n.Handshake))
}

func selfSigned(chain []*x509.Certificate) bool {
	return len(chain) == 1 && bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject)
}

// trustFix returns the fix that makes the directive trust a certificate authority.
func (t *target) trustFix() string {
	if t.directive.Service == endpoint.Huma {
		return "tls { ca /path/to/ca.pem } (on three lines), if you trust that authority"
	}
	return "if you trust that authority, add it to the trust store of this machine: " + t.directive.Service.Directive + " has no option for it"
}

func (t *target) clientCertificateFix() string {
	if t.directive.Service == endpoint.Huma {
		return "tls { client_certificate /path/to/cert.pem /path/to/key.pem } (on three lines)"
	}
	return ""
}

// issuerName returns the name of the certificate's issuer.
func issuerName(c *x509.Certificate) string {
	switch {
	case c.Issuer.CommonName != "":
		return c.Issuer.CommonName
	case len(c.Issuer.Organization) > 0:
		return c.Issuer.Organization[0]
	}
	return "an unnamed authority"
}

// maxNames is the maximum number of certificate names in a result.
const maxNames = 4

func formatNames(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no host name"
	case len(names) > maxNames:
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

func formatDate(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// The differences between the two clocks from which checkClock returns a warning or a
// problem.
const (
	clockWarning = time.Minute
	clockProblem = 5 * time.Minute
)

// checkClock compares this machine's clock with the Date header of the service's
// response. If the directive needs a correct clock, a difference of clockWarning is a
// problem.
func checkClock(t *target) report.Entry {
	c, skip := t.firstCall()
	switch {
	case skip != "":
		return report.NewSkipped("%s", skip)
	case c.Status == 0:
		return report.NewSkipped("no response")
	case c.Network.Date.IsZero():
		return report.NewSkipped("the response has no Date header")
	}
	here := c.Started.Add(c.Took / 2)
	ahead := here.Sub(c.Network.Date.Add(time.Second / 2)).Round(time.Second) // Date is truncated to seconds
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	detail := fmt.Sprintf("this machine's clock is %s %s the service's", ahead.Abs(), direction)
	const fix = "synchronize this machine's clock, for example with `timedatectl set-ntp true`"
	reason := t.needsClock()
	switch {
	case ahead.Abs() < clockWarning:
		return report.NewOK("within %s of the service's clock", max(ahead.Abs(), time.Second))
	case reason != "":
		return report.NewProblem(fix, "%s, but a correct clock is required: %s", detail, reason)
	case ahead.Abs() < clockProblem:
		return report.NewWarning(fix, "%s", detail)
	}
	return report.NewProblem(fix, "%s", detail)
}

// needsClock returns why the directive needs a correct clock, or "" if it does not.
func (t *target) needsClock() string {
	if t.directive.Common.VerifiesTokens() {
		return "signed assertions are rejected if the clock skew is more than 30 seconds"
	}
	h, err := t.directive.NewHandler()
	huma, isHuma := h.(*humatoken.HumaToken)
	if err != nil || !isHuma {
		return ""
	}
	return huma.NeedsClock()
}
