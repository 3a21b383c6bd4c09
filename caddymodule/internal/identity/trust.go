package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// setTrust validates the option trust and applies it to the sources that are request
// headers.
func (i *Identifier) setTrust(c Config, options []option) (errs []error) {
	t := c.Trust
	if t.Upstream != "" && t.Mode != TrustForwardAuth {
		errs = append(errs, errors.New("trust: only forward_auth takes an upstream: write \"trust forward_auth <upstream>\""))
	}
	if len(t.Ranges) > 0 && t.Mode != TrustProxies {
		errs = append(errs, errors.New("trust: only proxies takes ranges: write \"trust proxies <ranges>\""))
	}
	switch t.Mode {
	case TrustNone:
		errs = append(errs, rejectHeaders(options, c)...)
	case TrustForwardAuth:
		errs = append(errs, i.trustForwardAuth(t.Upstream, options)...)
	case TrustProxies:
		errs = append(errs, i.trustProxies(t.Ranges)...)
	default:
		errs = append(errs, errors.New("trust: unknown mode: write \"trust forward_auth\" or \"trust proxies <ranges>\""))
	}
	return append(errs, rejectDroppedHeaders(options, c.ForwardsHeader)...)
}

// rejectHeaders rejects the sources that are request headers. It returns one error for
// all of them, because one line in the config fixes them all.
func rejectHeaders(options []option, c Config) []error {
	var names []string
	for _, o := range options {
		if o.target.kind == kindHeader {
			names = append(names, o.name+" ("+o.target.key+")")
		}
	}
	if names == nil {
		return nil
	}
	verify := ""
	if row, _ := presets.Find(c.Preset); row.Signed.Email.From != "" && !c.Verify {
		verify = fmt.Sprintf("; or write \"identity %s { verify { … } }\", on several lines, with %s, to have the layer's signature checked instead", row.Name, row.Verify.Requires())
	}
	return []error{fmt.Errorf("%s: a client can send this header itself, so nobody believes it yet: add the line \"trust forward_auth\" if a forward_auth before this directive gets it from an auth server, or \"trust proxies <ranges>\" if a proxy in front of this server sets it and removes the client's%s", strings.Join(names, ", "), verify)}
}

// trustForwardAuth changes the sources that are request headers to headers of the auth
// server's response, so that the request's own headers are never read.
func (i *Identifier) trustForwardAuth(written string, options []option) []error {
	for _, o := range options {
		if o.target.kind == kindHeader {
			o.target.location = location{kindResponse, responsePrefix + o.target.key}
		}
	}
	if written == "" {
		return nil
	}
	u, err := parseUpstream(written)
	if err != nil {
		// The error does not contain the upstream, because a URL may hold a password.
		return []error{fmt.Errorf("trust: the upstream of forward_auth %w: write it as in the forward_auth line, such as \"trust forward_auth authelia:9091\"", err)}
	}
	i.upstream = u
	return nil
}

// trustProxies validates and stores the ranges.
func (i *Identifier) trustProxies(ranges []netip.Prefix) (errs []error) {
	for n, p := range ranges {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("trust: range %d of proxies is not valid: write one such as 10.0.0.0/8", n+1))
			continue
		}
		i.ranges = append(i.ranges, unmap(p))
	}
	return errs
}

// rejectDroppedHeaders rejects headers that the server drops before any handler runs.
func rejectDroppedHeaders(options []option, arrives func(string) bool) (errs []error) {
	if arrives == nil {
		arrives = func(name string) bool { return !strings.ContainsAny(name, "_.") }
	}
	for _, o := range options {
		kind, name := o.target.kind, o.target.key
		if kind != kindHeader && kind != kindAssertion || arrives(name) {
			continue
		}
		remedy := "name it in the server's option expected_underscore_headers"
		switch {
		case !strings.ContainsAny(name, "_."):
			remedy = "its options expected_underscore_headers and expected_dot_headers name another spelling, which is the one to read"
		case strings.ContainsRune(name, '_') && strings.ContainsRune(name, '.'):
			remedy += ", in full"
		case !strings.ContainsRune(name, '_'):
			remedy = "name it in the server's option expected_dot_headers"
		}
		errs = append(errs, fmt.Errorf("%s: the server drops the request header %s before it gets here: %s, or let the proxy send a name with hyphens", o.name, name, remedy))
	}
	return errs
}

// UsesTrustedProxies reports whether Identify uses Request.TrustedProxy: there are no ranges of
// its own.
func (i *Identifier) UsesTrustedProxies() bool { return len(i.ranges) == 0 }

// unmap converts a range of IPv4-mapped IPv6 addresses to the IPv4 range, because peers
// are compared as IPv4 addresses.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
