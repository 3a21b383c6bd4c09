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
	answer       http.Header
	placeholders identity.PlaceholderMap
	peer         netip.Addr
	hashKey      string
	userGiven    bool // the flags name a user instead of a request
}

func (t *identityRun) readInput() (*requestInput, error) {
	g := &requestInput{placeholders: make(identity.PlaceholderMap), hashKey: t.hashKey}
	var err error
	if g.header, err = headersOf("header", t.headers); err != nil {
		return nil, err
	}
	if g.answer, err = headersOf("answer", t.answers); err != nil {
		return nil, err
	}
	if g.peer, err = netip.ParseAddr(t.peer); err != nil {
		return nil, command.UsageError("--peer: %q is no IP address", t.peer)
	}
	for _, p := range t.placeholders {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, command.UsageError("--placeholder: %q has no =: write '<name>=<value>'", p)
		}
		g.placeholders[strings.Trim(name, "{}")] = value
	}
	g.userGiven = t.email != "" || t.userID != ""
	for name, value := range map[string]string{dryrun.EmailPlaceholder: t.email, dryrun.UserIDPlaceholder: t.userID} {
		if value != "" {
			g.placeholders[name] = value
		}
	}
	return g, nil
}

func headersOf(flag string, lines []string) (http.Header, error) {
	h := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, command.UsageError("--%s: %q has no colon: write '<name>: <value>'", flag, line)
		}
		h.Add(name, strings.Trim(value, " \t")) // optional whitespace (RFC 9110, section 5.5)
	}
	return h, nil
}

// tryRequest identifies the user of a request like the directive d would, and returns the
// report.
func tryRequest(ctx context.Context, d *dryrun.Directive, g *requestInput) identityReport {
	f := identityReport{Directive: d.Title, byID: d.Service.ByID}
	note := func(format string, args ...any) { f.Notes = append(f.Notes, fmt.Sprintf(format, args...)) }
	var p option.Errors
	identifier := identify.New(&d.Common, identify.Options{
		ByID:            d.Service.ByID,
		ForwardsHeader:  d.ForwardsHeader,
		OnUserinfoError: func(err error) { note("%v", err) },
		Keys: func(s assertion.Source) (*assertion.Keys, error) {
			return assertion.NewKeys(s, assertion.Log{
				FetchFailed: func(err error) { note("%v", err) },
				KeysLeftOut: func(err error) { note("some keys of the JWKS cannot be used: %v", err) },
			})
		},
	}, &p)
	if d.Problem != nil {
		p = append(p, d.Problem)
	}
	if len(p) > 0 {
		for _, problem := range p {
			f.Problems = append(f.Problems, problem.Error())
		}
		return f
	}
	r := requestOf(d, identifier, g, note)
	if d.Common.CrossSite != "allow" && crosssite.Is(r.Host, r.Header, func() bool { return r.TrustedProxy }) {
		f.Status, f.Code, f.Detail = problem.Lookup(problem.CrossSite, d.Service.Details).Status, string(problem.CrossSite), problem.Lookup(problem.CrossSite, d.Service.Details).Detail
		return f
	}
	user, err := identifier.Identify(ctx, r)
	for _, s := range identifier.Explain(ctx, r) {
		if g.userGiven {
			break // no source of the config was read
		}
		found := sourceReport{Option: s.Option, Source: s.Source, Value: s.Value.Reveal()}
		if s.Rejection != nil {
			found.Why = strings.ReplaceAll(s.Rejection.Hint, "the option email", "the option "+s.Option)
		}
		f.Sources = append(f.Sources, found)
	}
	if err != nil {
		failed := problem.Of(err)
		f.Status, f.Code, f.Detail = problem.Lookup(failed.Code, d.Service.Details).Status, string(failed.Code), failed.Hint
		noteReason(d, identifier, g, note)
		return f
	}
	first, last := identifier.Names(ctx, r)
	f.Email, f.UserID, f.FirstName, f.LastName = user.Email.Reveal(), user.ID.Reveal(), first.Reveal(), last.Reveal()
	if f.LogName, err = logName(d, user, g.hashKey); err != nil && (g.userGiven || !errors.Is(err, errNoLogKey)) {
		note("%v", err)
	}
	return f
}

// requestOf returns the request as the directive would receive it. It adds a note for each
// header that the server would drop.
func requestOf(d *dryrun.Directive, i *identity.Identifier, g *requestInput, note func(string, ...any)) *identity.Request {
	r := &identity.Request{
		Host:         "localhost",
		Header:       make(http.Header),
		RemoteAddr:   netip.AddrPortFrom(g.peer, 4711).String(),
		TrustedProxy: d.Proxy.Trusts(g.peer),
	}
	if d.Proxy.Unknown {
		note("the server's trusted_proxies cannot be looked up here: %s is taken for one of them", g.peer)
	}
	for _, name := range slices.Sorted(maps.Keys(g.header)) {
		switch {
		case name == "Host":
			r.Host = g.header.Get(name) // like net/http
		case d.ForwardsHeader(name):
			r.Header[name] = g.header[name]
		case strings.ContainsAny(name, "_."):
			note("Caddy drops the request header %s, because its name has an underscore or a dot: name it in the server's option expected_underscore_headers or expected_dot_headers, or send it as %s", name,
				textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name)))
		default:
			note("Caddy drops the request header %s, because expected_underscore_headers or expected_dot_headers name another spelling of it", name)
		}
	}
	known := make(identity.PlaceholderMap)
	for name, value := range g.placeholders {
		known[name] = value
		if strings.HasPrefix(name, "http.request.tls.client.") && r.TLS == nil {
			note("the client's certificate is taken for a verified one")
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, VerifiedChains: make([][]*x509.Certificate, 1)}
		}
	}
	if len(g.answer) > 0 {
		setAnswer(d, i, g, known, note)
	}
	r.Placeholders = known
	return r
}

// setAnswer sets the placeholders that a forward_auth before the directive would set from
// the auth server's response. It adds a note if the server has no such forward_auth.
func setAnswer(d *dryrun.Directive, i *identity.Identifier, g *requestInput, known identity.PlaceholderMap, note func(string, ...any)) {
	switch {
	case len(d.UpstreamAddrs) == 0:
		note("this server has no forward_auth or reverse_proxy that could answer: --answer is not looked at")
		return
	case !i.SetResponseFrom(known, d.UpstreamAddrs):
		note("the answer is taken for that of %s: this server has no forward_auth or reverse_proxy to the upstream that trust forward_auth names", d.UpstreamAddrs[len(d.UpstreamAddrs)-1])
	}
	for name, values := range g.answer {
		known[identity.ResponsePlaceholder(name)] = strings.Join(values, ",")
	}
}

// noteReason adds notes about likely reasons why no user was identified.
func noteReason(d *dryrun.Directive, i *identity.Identifier, g *requestInput, note func(string, ...any)) {
	for _, name := range i.ResponseHeaders() {
		if g.header[name] != nil && g.answer[name] == nil {
			note("the request header %s is not read: with trust forward_auth only the auth server's answer counts, which --answer gives", name)
		}
	}
	read := append(i.Headers(), i.ResponseHeaders()...)
	for _, name := range slices.Sorted(maps.Keys(g.header)) {
		if slices.Contains(read, name) {
			continue
		}
		for _, p := range presets.All() {
			plain, signed := p.Sources.Email, p.Signed.Email
			if d.Service.ByID {
				plain, signed = p.Sources.UserID, p.Signed.UserID
			}
			if plain.From == name || signed.From == name {
				note("the request header %s is what the preset %s reads", name, p.Name)
			}
		}
	}
}
