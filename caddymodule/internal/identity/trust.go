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
		errs = append(errs, errors.New("trust: an upstream is valid with forward_auth only: write \"trust forward_auth <upstream>\""))
	}
	if len(t.Ranges) > 0 && t.Mode != TrustProxies {
		errs = append(errs, errors.New("trust: ranges are valid with proxies only: write \"trust proxies <ranges>\""))
	}
	switch t.Mode {
	case TrustNone:
		errs = append(errs, rejectHeaders(options, c)...)
	case TrustForwardAuth:
		errs = append(errs, i.trustForwardAuth(t.Upstream, options)...)
	case TrustProxies:
		for _, p := range t.Ranges {
			i.ranges = append(i.ranges, unmap(p))
		}
	default:
		errs = append(errs, fmt.Errorf("trust: unknown mode %d", t.Mode))
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
	if preset, _ := presets.Find(c.Preset); preset.Signed.Email.From != "" && !c.Verify {
		verify = fmt.Sprintf("; or, to verify a signature instead, write \"identity %s { verify { … } }\" on several lines, with %s", preset.Name, preset.Verify.Requires())
	}
	return []error{fmt.Errorf("%s: a client can forge this request header: add \"trust forward_auth\" if the auth server of a forward_auth before this directive sets the header, or \"trust proxies <ranges>\" if a proxy in front of this server sets it and removes the client's%s", strings.Join(names, ", "), verify)}
}

// trustForwardAuth changes the sources that are request headers to headers of the auth
// server's response, so that the request's own headers are never read.
func (i *Identifier) trustForwardAuth(upstream string, options []option) (errs []error) {
	for _, o := range options {
		switch {
		case o.target.kind == kindHeader:
			o.target.location = location{kindResponse, responsePrefix + o.target.key}
		case o.target.kind == kindCookie && errs == nil: // one error for all options
			errs = append(errs, fmt.Errorf("trust: forward_auth cannot be combined with the cookie %s, which is in the client's request and not in the auth server's response; remove trust, because verify needs none, or read a header of the response", o.target.key))
		}
	}
	i.upstream = upstream
	return errs
}

// rejectDroppedHeaders rejects headers that the server drops before any handler runs.
func rejectDroppedHeaders(options []option, forwardsHeader func(string) bool) (errs []error) {
	if forwardsHeader == nil {
		forwardsHeader = func(name string) bool { return !strings.ContainsAny(name, "_.") }
	}
	for _, o := range options {
		kind, name := o.target.kind, o.target.key
		if kind != kindHeader && kind != kindAssertion || forwardsHeader(name) {
			continue
		}
		fix := "add it to the server's option expected_underscore_headers, or configure the proxy to send a name with hyphens"
		switch {
		case !strings.ContainsAny(name, "_."):
			fix = "read the spelling in the server's options expected_underscore_headers and expected_dot_headers instead"
		case strings.ContainsRune(name, '_') && strings.ContainsRune(name, '.'):
			fix = "add its full name to the server's option expected_underscore_headers, or configure the proxy to send a name with hyphens"
		case !strings.ContainsRune(name, '_'):
			fix = "add it to the server's option expected_dot_headers, or configure the proxy to send a name with hyphens"
		}
		errs = append(errs, fmt.Errorf("%s: Caddy drops the request header %s before any handler runs: %s", o.name, name, fix))
	}
	return errs
}

// rejectDroppedForwards is rejectDroppedHeaders for the headers that are forwarded to the
// application or the auth server.
func rejectDroppedForwards(names []string, forwardsHeader func(string) bool) []error {
	var options []option
	for _, name := range names {
		options = append(options, option{name: "forward_headers", target: &source{location: location{kindHeader, name}}})
	}
	return rejectDroppedHeaders(options, forwardsHeader)
}

// UsesTrustedProxies reports whether Identify uses Request.TrustedProxy: there are no
// ranges of its own.
func (i *Identifier) UsesTrustedProxies() bool { return len(i.ranges) == 0 }

// unmap converts a range of IPv4-mapped IPv6 addresses to the IPv4 range, because peers
// are compared as IPv4 addresses.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// templateInclude is the header that Caddy's template function httpInclude sets
// (modules/caddyhttp/templates/tplcontext.go).
const templateInclude = "Caddy-Templates-Include"

// checkPeer returns the reason why the headers of the request are not trusted, or nil.
func (i *Identifier) checkPeer(r *Request) *Rejection {
	// A template that includes another page of this server requests it from a loopback
	// address, with all headers of its own request.
	if r.Header[templateInclude] != nil {
		return ErrTemplateInclude
	}
	// Before the handshake is complete, a QUIC client may claim any address.
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return ErrEarlyData
	}
	trusted := r.TrustedProxy
	if len(i.ranges) > 0 {
		trusted = i.inRanges(r.RemoteAddr)
	}
	if !trusted {
		return ErrUntrustedPeer
	}
	return nil
}

// inRanges reports whether the address of a peer is in one of the ranges.
func (i *Identifier) inRanges(remote string) bool {
	peer, ok := peerAddr(remote)
	if !ok {
		return false
	}
	for _, p := range i.ranges {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// peerAddr returns the IP address of a peer, without port and zone. An IPv4-mapped IPv6
// address is returned as IPv4.
func peerAddr(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err == nil {
		return ap.Addr().WithZone("").Unmap(), true
	}
	addr, err := netip.ParseAddr(remote)
	return addr.WithZone("").Unmap(), err == nil
}
