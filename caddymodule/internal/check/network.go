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
)

// checkDNS checks whether the host name of the service resolves, or that of the proxy, if
// calls go through a proxy (HTTPS_PROXY).
func checkDNS(s *target) checkResult {
	c, without := s.firstCall()
	name := c.Network.Host
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if c.Proxy != "" {
		name = "the proxy " + c.Proxy
		_, err = netip.ParseAddrPort(c.Proxy)
	}
	switch {
	case without != "":
		return skippedResult("%s", without)
	case c.Network.Lookup != nil:
		write := "correct the option api, or the name in the config_file; or look at the resolver of this machine (/etc/resolv.conf)"
		if c.Proxy != "" {
			write = "correct HTTPS_PROXY, or the resolver of this machine (/etc/resolv.conf)"
		}
		return problemResult(write, "%v", c.Network.Lookup)
	case len(c.Network.Addresses) > 0:
		return okResult("%s is %s", name, strings.Join(c.Network.Addresses, ", "))
	case err == nil:
		return skippedResult("%s is an address", name)
	}
	return skippedResult("%s was not looked up", name)
}

// checkConnection checks the TCP connection to the service, or to the proxy in between.
func checkConnection(s *target) checkResult {
	c, without := s.firstCall()
	n := c.Network
	write := "does anything listen there, as the option api has it? If so, let this machine out to it (firewall, security group, network policy), or name the proxy in between in HTTPS_PROXY"
	if c.Proxy != "" {
		write = "correct HTTPS_PROXY, or start the proxy; NO_PROXY=" + n.Host + " goes past it"
	}
	switch {
	case without != "":
		return skippedResult("%s", without)
	case n.Lookup != nil:
		return skippedResult("there is no address to connect to")
	case n.Dial != nil:
		return problemResult(write, "%v", n.Dial)
	case n.Connected == "":
		return problemResult(write, "no connection within %s", c.Took.Round(time.Millisecond))
	case c.Proxy != "" && !connected(c) && n.Handshake == nil:
		return problemResult("have the proxy let "+n.Host+" through, or correct HTTPS_PROXY; NO_PROXY="+n.Host+" goes past it",
			"the proxy %s does not connect to %s", c.Proxy, n.Host)
	case c.Proxy != "":
		return okResult("through the proxy %s (HTTPS_PROXY)", c.Proxy)
	}
	return okResult("%s", n.Connected)
}

// connected reports whether a call had a connection to the service: a TCP connection for
// http, a TLS connection for https.
func connected(c record.Call) bool {
	return c.Network.Connected != "" && (strings.HasPrefix(c.URL, "http:") || c.Network.TLS != nil)
}

// checkTLS checks whether the directive trusts the service's certificate.
func checkTLS(s *target) checkResult {
	c, without := s.firstCall()
	n := c.Network
	var op *net.OpError
	switch {
	case without != "":
		return skippedResult("%s", without)
	case strings.HasPrefix(c.URL, "http:"):
		return skippedResult("it is http, which is for this machine alone")
	case errors.As(n.Failure, &op) && op.Op == "remote error":
		return problemResult(s.writeClientCertificate(), "the service ends the connection: %v; it may want a client certificate", op.Err)
	case n.TLS != nil:
		leaf := n.TLS.PeerCertificates[0]
		return okResult("the certificate of %s, by %s, is good until %s", n.Host, issuer(leaf), day(leaf.NotAfter))
	case n.Handshake != nil:
		return s.handshakeProblem(c)
	case n.Connected != "" && c.Proxy == "":
		return problemResult(writePort, "no answer to the handshake within %s", c.Took.Round(time.Millisecond))
	}
	return skippedResult("there is no connection")
}

// writePort is the fix if the service does not complete a TLS handshake.
const writePort = "is the port in the option api the one for https?"

// handshakeProblem returns the result for a failed TLS handshake, such as a certificate
// that is not trusted.
func (s *target) handshakeProblem(c record.Call) checkResult {
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
		return problemResult("set this machine's clock, if that is not the time; else wait, or have the certificate replaced",
			"the certificate of %s is good from %s on, and here it is %s", n.Host, moment(invalid.Cert.NotBefore), moment(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return problemResult("have the certificate renewed by whoever runs "+n.Host+"; set this machine's clock, if that is not the time",
			"the certificate of %s has expired on %s, and here it is %s", n.Host, moment(invalid.Cert.NotAfter), moment(now))
	case errors.As(err, &hostname):
		return problemResult("correct the option api, or have the certificate issued for "+n.Host,
			"the certificate is not for %s but for %s", n.Host, namesOf(hostname.Certificate))
	case errors.As(err, &unknown) && errors.As(err, &verification) && selfSigned(verification.UnverifiedCertificates):
		return problemResult(s.writeTrust(), "the certificate of %s is self-signed, and not trusted", n.Host)
	case errors.As(err, &unknown) && errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0:
		return problemResult(s.writeTrust(), "the certificate of %s is by %s, who is not trusted", n.Host, issuer(verification.UnverifiedCertificates[0]))
	}
	return problemResult(writePort, "%v", neterror.Plain("the service", true, n.Handshake))
}

func selfSigned(chain []*x509.Certificate) bool {
	return len(chain) == 1 && bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject)
}

// writeTrust returns the fix that makes the directive trust a certificate authority.
func (s *target) writeTrust() string {
	if s.directive.Service == endpoint.Huma {
		return "tls { ca /path/to/authority.pem } on three lines, if that authority is one to trust"
	}
	return "add the authority to those of this machine, if it is one to trust: " + s.directive.Service.Directive + " knows no others"
}

func (s *target) writeClientCertificate() string {
	if s.directive.Service == endpoint.Huma {
		return "tls { client_certificate /path/to/cert.pem /path/to/key.pem } on three lines"
	}
	return ""
}

// issuer returns the name of the certificate's issuer.
func issuer(c *x509.Certificate) string {
	switch {
	case c.Issuer.CommonName != "":
		return c.Issuer.CommonName
	case len(c.Issuer.Organization) > 0:
		return c.Issuer.Organization[0]
	}
	return "somebody without a name"
}

// maxNames is the maximum number of certificate names in a result.
const maxNames = 4

func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "nobody by name"
	case len(names) > maxNames:
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// The differences between the two clocks from which checkClock returns a warning or a
// problem.
const (
	clockWarning = time.Minute
	clockProblem = 5 * time.Minute
)

// checkClock compares this machine's clock with the Date header of the service's
// response. If the directive needs a correct clock, a difference of clockWarning is a
// problem.
func checkClock(s *target) checkResult {
	c, without := s.firstCall()
	switch {
	case without != "":
		return skippedResult("%s", without)
	case c.Status == 0:
		return skippedResult("there is no answer with a Date")
	case c.Network.Date.IsZero():
		return skippedResult("the answer has no Date")
	}
	here := c.Started.Add(c.Took / 2)
	ahead := here.Sub(c.Network.Date.Add(time.Second / 2)).Round(time.Second) // Date is truncated to seconds
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	found := fmt.Sprintf("this machine's clock is %s %s the service's", ahead.Abs(), direction)
	const write = "have this machine's clock set, such as by `timedatectl set-ntp true`"
	why := s.needsClock()
	switch {
	case ahead.Abs() < clockWarning:
		return okResult("it is the service's, give or take %s", max(ahead.Abs(), time.Second))
	case why != "":
		return problemResult(write, "%s, and it matters: %s", found, why)
	case ahead.Abs() < clockProblem:
		return warningResult(write, "%s", found)
	}
	return problemResult(write, "%s", found)
}

// needsClock returns why the directive needs a correct clock, or "" if it does not.
func (s *target) needsClock() string {
	if s.directive.Common.Identity != nil && s.directive.Common.Identity.Verify != nil {
		return "signed assertions are believed for their time alone, give or take 30 seconds"
	}
	h, err := s.directive.NewHandler()
	huma, isHuma := h.(*humatoken.HumaToken)
	if err != nil || !isHuma {
		return ""
	}
	return huma.NeedsClock()
}
