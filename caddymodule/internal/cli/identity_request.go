package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/crosssite"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identify"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/internal/command"
)

// requestInput is the request to try, from the flags.
type requestInput struct {
	header       http.Header
	response     http.Header
	placeholders identity.PlaceholderMap
	peer         netip.Addr
	hashKey      string
	userOnly     bool // the flags contain a user instead of a request
}

func (r *identityRun) readInput() (*requestInput, error) {
	in := &requestInput{placeholders: make(identity.PlaceholderMap), hashKey: r.hashKey}
	var err error
	if in.header, err = parseHeaders("header", r.headers); err != nil {
		return nil, err
	}
	if in.response, err = parseHeaders("response", r.responses); err != nil {
		return nil, err
	}
	if in.peer, err = netip.ParseAddr(r.peer); err != nil {
		return nil, command.UsageError("--peer: %q is not an IP address", r.peer)
	}
	for _, p := range r.placeholders {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, command.UsageError("--placeholder: %q has no '='; use '<name>=<value>'", p)
		}
		in.placeholders[strings.Trim(name, "{}")] = value
	}
	in.userOnly = r.email != "" || r.userID != ""
	for name, value := range map[string]string{dryrun.EmailPlaceholder: r.email, dryrun.UserIDPlaceholder: r.userID} {
		if value != "" {
			in.placeholders[name] = value
		}
	}
	return in, nil
}

func parseHeaders(flag string, lines []string) (http.Header, error) {
	h := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, command.UsageError("--%s: %q has no colon; use '<name>: <value>'", flag, line)
		}
		h.Add(name, strings.Trim(value, " \t")) // optional whitespace (RFC 9110, section 5.5)
	}
	return h, nil
}

// identifyRequest identifies the user of a request like the directive d would, and
// returns the report.
func identifyRequest(ctx context.Context, d *dryrun.Directive, in *requestInput) identityReport {
	report := identityReport{Directive: d.Name, title: d.Title(), byID: d.Service.ByID}
	note := func(format string, args ...any) { report.Notes = append(report.Notes, fmt.Sprintf(format, args...)) }
	var p option.Errors
	identifier := identify.New(&d.Common, identify.Options{
		ByID:              d.Service.ByID,
		ForwardsHeader:    d.ForwardsHeader,
		OnAuthServerError: func(err error) { note("auth_server: %v", err) },
		OnUserinfoError:   func(err error) { note("userinfo: %v", err) },
		Keys: func(s assertion.Source) (*assertion.Keys, error) {
			return assertion.NewKeys(s, assertion.Log{
				Discovered:  func(jwksURI string) { note("the discovery document of the issuer names the JWKS %s", jwksURI) },
				FetchFailed: func(err error) { note("%v", err) },
				KeysLeftOut: func(err error) { note("some keys of the JWKS cannot be used: %v", err) },
			})
		},
	}, &p)
	origins := cors.New(p.Texts("allow_origins", d.Common.AllowOrigins), nil)
	if d.Problem != nil {
		p = append(p, d.Problem)
	}
	if len(p) > 0 {
		for _, problem := range p {
			report.Problems = append(report.Problems, problem.Error())
		}
		return report
	}
	r := buildRequest(d, identifier, in, note)
	if d.Common.CrossSite != "allow" && !origins.Allows(r.Header) && crosssite.Is(r.Host, r.Header, func() bool { return r.TrustedProxy }) {
		report.Status, report.Code, report.Detail = problem.Lookup(problem.CrossSite, d.Service.Details).Status, string(problem.CrossSite), problem.Lookup(problem.CrossSite, d.Service.Details).Detail
		return report
	}
	user, err := identifier.Identify(ctx, r)
	for _, s := range identifier.Explain(ctx, r) {
		if in.userOnly {
			break // no source of the config was read
		}
		source := sourceReport{Option: s.Option, Source: s.Source, Value: s.Value.Reveal(), Path: s.Path}
		if s.Rejection != nil {
			source.Reason = strings.ReplaceAll(s.Rejection.Hint, "the option email", "the option "+s.Option)
		}
		report.Sources = append(report.Sources, source)
	}
	if err != nil {
		failed := problem.Of(err)
		report.Status, report.Code, report.Detail = problem.Lookup(failed.Code, d.Service.Details).Status, string(failed.Code), failed.Hint
		noteReason(d, identifier, in, note)
		return report
	}
	first, last := identifier.Names(ctx, r)
	report.Email, report.UserID, report.FirstName, report.LastName = user.Email.Reveal(), user.ID.Reveal(), first.Reveal(), last.Reveal()
	if report.LogName, err = logName(d, user, in.hashKey); err != nil && (in.userOnly || !errors.Is(err, errNoLogKey)) {
		note("%v", err)
	}
	return report
}

// buildRequest returns the request as the directive would receive it. It adds a note for
// each header that the server would drop.
func buildRequest(d *dryrun.Directive, i *identity.Identifier, in *requestInput, note func(string, ...any)) *identity.Request {
	r := d.Request()
	r.RemoteAddr = netip.AddrPortFrom(in.peer, 4711).String()
	r.TrustedProxy = d.Proxy.Trusts(in.peer)
	if d.Proxy.Unknown {
		note("trusted_proxies of the server is not a static list; assuming that it contains %s", in.peer)
	}
	for _, name := range slices.Sorted(maps.Keys(in.header)) {
		switch {
		case name == "Host":
			r.Host = in.header.Get(name) // like net/http
		case d.ForwardsHeader(name):
			r.Header[name] = in.header[name]
		case strings.ContainsAny(name, "_."):
			note("Caddy drops the request header %s, because its name contains an underscore or a dot: add it to the server option expected_underscore_headers or expected_dot_headers, or send it as %s", name,
				textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name)))
		default:
			note("Caddy drops the request header %s, because expected_underscore_headers or expected_dot_headers contains another spelling of it", name)
		}
	}
	placeholders := make(identity.PlaceholderMap)
	for name, value := range in.placeholders {
		placeholders[name] = value
		if strings.HasPrefix(name, "http.request.tls.client.") && (r.TLS == nil || r.TLS.VerifiedChains == nil) {
			note("assuming that the client certificate is verified")
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, VerifiedChains: make([][]*x509.Certificate, 1)}
		}
	}
	if len(in.response) > 0 {
		setResponse(d, i, in, placeholders, note)
	}
	r.Placeholders = placeholders
	return r
}

// setResponse sets the placeholders that a forward_auth before the directive would set
// from the auth server's response. It adds a note if the server has no such forward_auth.
func setResponse(d *dryrun.Directive, i *identity.Identifier, in *requestInput, placeholders identity.PlaceholderMap, note func(string, ...any)) {
	switch {
	case i.UsesAuthServer():
		note("ignoring --response: the command calls the auth server, like the directive")
		return
	case len(d.UpstreamAddrs) == 0:
		note("ignoring --response: the server has no forward_auth or reverse_proxy")
		return
	case !i.SetResponseFrom(placeholders, d.UpstreamAddrs):
		note("assuming that the response comes from %s: the server has no forward_auth or reverse_proxy to the upstream in trust forward_auth", d.UpstreamAddrs[len(d.UpstreamAddrs)-1])
	}
	for name, values := range in.response {
		placeholders[identity.ResponsePlaceholder(name)] = strings.Join(values, ",")
	}
}

// noteReason adds notes about likely reasons why no user was identified.
func noteReason(d *dryrun.Directive, i *identity.Identifier, in *requestInput, note func(string, ...any)) {
	for _, name := range i.ResponseHeaders() {
		if in.header[name] != nil && in.response[name] == nil {
			note("ignoring the request header %s: trust forward_auth reads the auth server's response only (--response)", name)
		}
	}
	read := append(i.Headers(), i.ResponseHeaders()...)
	for _, name := range slices.Sorted(maps.Keys(in.header)) {
		if slices.Contains(read, name) {
			continue
		}
		var reading []string
		for _, p := range presets.All() {
			plain, signed := p.Sources.Email, p.Signed.Email
			if d.Service.ByID {
				plain, signed = p.Sources.UserID, p.Signed.UserID
			}
			if plain.From == name || signed.From == name {
				reading = append(reading, p.Name)
			}
		}
		switch len(reading) {
		case 0:
		case 1:
			note("the preset for the request header %s is %s", name, reading[0])
		default:
			note("the presets for the request header %s are %s", name, strings.Join(reading, ", "))
		}
	}
}
