package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/report"
)

// checkConnection sends the request without credentials, and reports whether there is a
// connection.
func (p *probe) checkConnection(ctx context.Context) []report.Entry {
	r := p.do(ctx, request{anonymous: true, clientType: p.only})
	if r.err == nil && p.only == "" && p.service != humanAPI && requiresMore(r) {
		r = p.do(ctx, request{anonymous: true, clientType: clienttype.All[0]})
	}
	p.unauthenticated = r
	note := ""
	if p.defaultPath {
		note = "; the URL has no path, so the default one is checked"
	}
	switch {
	case r.err != nil && r.status == 0:
		p.noToken = "no connection"
		return one(p.connectionProblem(ctx, r.err))
	case r.tls != nil:
		return one(report.NewOK("connected with %s; the certificate is valid until %s%s",
			tls.VersionName(r.tls.Version), r.tls.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly), note))
	case p.isLocal():
		return one(report.NewOK("connected, without TLS%s", note))
	}
	if to, err := url.Parse(r.header.Get("Location")); err == nil && p.isUpgrade(to) {
		p.noToken = "credentials are not sent to a URL that redirects to https"
	}
	return one(report.NewWarning("use https", "connected, without TLS: everyone on the network path can read credentials and tokens%s", note))
}

// requiresMore reports whether a response says that the request lacks something, such as
// the client type.
func requiresMore(r *response) bool {
	return r.status == http.StatusBadRequest || r.status == http.StatusUnprocessableEntity
}

// connectionProblem returns the entry for a request that got no response.
func (p *probe) connectionProblem(ctx context.Context, err error) report.Entry {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		op       *net.OpError
		dns      *net.DNSError
		host     = p.url.Hostname()
		plain    = neterror.Plain("the server", false, err)
	)
	if proxied(p) {
		host += " through the proxy"
	}
	switch {
	case ctx.Err() != nil:
		return report.NewProblem("check the host and port of the URL, and firewalls in between; or set a longer --timeout", "no response from %s within %s", host, p.options.timeout)
	case errors.As(err, &unknown):
		return report.NewProblem("use a certificate of an authority that apps trust; if the authority is a private one that apps trust, set --ca <file>", "%v: apps refuse the connection", plain)
	case errors.As(err, &hostname):
		return report.NewProblem("correct the host in the URL, or use a certificate for this host", "%v: apps refuse the connection", plain)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return report.NewProblem("renew the certificate; or set this machine's clock if it is wrong", "%v: apps refuse the connection (valid from %s until %s)",
			plain, date(invalid.Cert.NotBefore), date(invalid.Cert.NotAfter))
	case errors.As(err, &record):
		return report.NewProblem("check the port of the URL, or use http for a server without TLS", "%v at this port", plain)
	case errors.As(err, &op) && op.Op == "remote error":
		return report.NewProblem("check that the server has a certificate for this host, and that it requires no client certificate", "the server ends the TLS handshake: %v", op.Err)
	case errors.As(err, &dns):
		return report.NewProblem("correct the host in the URL, or fix the DNS records or the DNS resolver of this machine", "%v", plain)
	}
	return report.NewProblem("check the host and port of the URL, that the server is running, and firewalls in between", "cannot get a response from %s: %v", host, plain)
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// proxied reports whether requests go through a proxy (HTTPS_PROXY).
func proxied(p *probe) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: p.url})
	return err == nil && proxy != nil
}

// checkUnauthenticated reports what an app gets that has no credentials, or expired ones.
func (p *probe) checkUnauthenticated(ctx context.Context) []report.Entry {
	r := p.unauthenticated
	if r.err != nil && r.status == 0 {
		return one(report.NewSkipped("no connection"))
	}
	if e, failed := noResponse(r); failed {
		return one(e)
	}
	switch {
	case r.status == http.StatusUnauthorized:
		// Authentication that is limited to GET leaves the other method open.
		if post := p.do(ctx, request{method: http.MethodPost, anonymous: true, clientType: p.only}); post.isToken() {
			return one(report.NewProblem("put the authentication in front of all methods", "status 401 to GET, but POST gets a token without credentials: anyone can get tokens of a user"))
		}
		return one(unauthorized(r))
	case r.isToken():
		return one(report.NewProblem("put the authentication in front of this path, and check which user gets these tokens",
			"status 200 with a token, without credentials: anyone can get tokens of a user"))
	case r.status == http.StatusForbidden && r.code() == "":
		return one(report.NewProblem("respond with 401 to a request without credentials",
			"status 403 instead of 401: apps take it as a final refusal, and do not ask the user to sign in; or a firewall blocks the request"))
	case requiresMore(r) && p.url.Scheme == "http" && strings.Contains(r.body.Reveal(), "HTTPS server"):
		return one(report.NewProblem("use the https URL", "status %d: this is an https port", r.status))
	}
	return one(p.unexpected(r))
}

// unauthorized returns the entry for a 401.
func unauthorized(r *response) report.Entry {
	challenge, _, _ := strings.Cut(strings.TrimSpace(r.header.Get("WWW-Authenticate")), " ")
	switch {
	case parse(r).recognize() != nil:
		return report.NewProblem("do not send tokens with an error", "status 401, but the body contains a token: anyone can read it")
	case strings.EqualFold(challenge, "Basic"), strings.EqualFold(challenge, "Negotiate"), strings.EqualFold(challenge, "Digest"):
		return report.NewWarning("use another authentication for browsers, such as a session or a bearer token; for apps alone this is fine",
			"status 401 with WWW-Authenticate: %s: a browser opens its own login dialog when a page requests the token", http.CanonicalHeaderKey(challenge))
	}
	return report.NewOK("%s without credentials", r.describe())
}
