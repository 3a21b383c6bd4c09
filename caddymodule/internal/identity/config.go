package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// TrustMode is whose word on a request header is believed.
type TrustMode uint8

// The modes there are.
const (
	// TrustNone believes no header. Sources that are headers do not load.
	TrustNone TrustMode = iota
	// TrustForwardAuth believes the header of that name in the answer of the
	// auth server, and never looks at the request's.
	TrustForwardAuth
	// TrustProxies believes the request's header if the direct peer is a
	// proxy that is trusted.
	TrustProxies
)

// Trust is the option trust.
type Trust struct {
	// Mode is whose word is believed.
	Mode TrustMode
	// Upstream is what the last proxy must have asked, as it is written
	// behind forward_auth; empty: any. Of TrustForwardAuth only.
	Upstream string
	// Ranges are the direct peers to believe; empty: those the server
	// trusts. Of TrustProxies only. A peer on a Unix socket has no address
	// and is in no range.
	Ranges []netip.Prefix
}

// Config says how users are identified.
type Config struct {
	// Preset is the name of a preset, or empty.
	Preset string
	// The sources as they were written: a request header's name, or one
	// placeholder in braces. Each wins over the preset's.
	Email, UserID, Name, FirstName, LastName, Verified string
	// Domains are the e-mail domains to allow; empty allows all. A subdomain
	// is another domain; the case of ASCII letters does not matter.
	Domains []string
	// Trust is who is believed about headers.
	Trust Trust
	// HeaderLetThrough reports whether the server keeps a request header
	// whose name has an underscore or a dot; nil: it keeps none. It is asked
	// while New runs, with canonical names.
	HeaderLetThrough func(name string) bool
}

// option is an option that takes a source, with what was written for it.
type option struct {
	name    string
	written string
	target  *source
}

// New returns the Identifier a configuration describes. Its error holds every
// problem there is, each with the name of the option and what would fix it.
func New(c Config) (*Identifier, error) {
	i := new(Identifier)
	var errs []error

	row, ok := findPreset(c.Preset)
	if c.Preset != "" && !ok {
		errs = append(errs, fmt.Errorf("identity: unknown preset %q: write one of %s", c.Preset, presetNames()))
	}
	p := row.Sources
	options := []option{
		{"email", either(c.Email, p.Email), &i.email},
		{"user_id", either(c.UserID, p.UserID), &i.userID},
		{"name", either(c.Name, p.Name), &i.name},
		{"first_name", either(c.FirstName, p.FirstName), &i.firstName},
		{"last_name", either(c.LastName, p.LastName), &i.lastName},
		{"verified", either(c.Verified, p.Verified), &i.verified},
	}
	if c.Preset == "" && c.Email == "" {
		errs = append(errs, errors.New("email: no source says who the user is: write \"identity <preset>\", or \"email <source>\" in its block"))
	}
	for _, o := range options {
		if o.written == "" {
			continue
		}
		s, err := parseSource(o.written)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, err))
			continue
		}
		*o.target = s
	}
	errs = append(errs, i.setTrust(c, options)...)
	errs = append(errs, i.setDomains(c.Domains)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return i, nil
}

// either returns the source to use for one particular.
func either(configured, preset string) string {
	if configured != "" {
		return configured
	}
	return preset
}

// setTrust takes over the option trust and what it means for the sources that
// are headers.
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
		return append(errs, refuseHeaders(options)...)
	case TrustForwardAuth:
		return append(errs, i.trustForwardAuth(t.Upstream, options)...)
	case TrustProxies:
		return append(errs, i.trustProxies(c, options)...)
	default:
		return append(errs, errors.New("trust: unknown mode: write \"trust forward_auth\" or \"trust proxies <ranges>\""))
	}
}

// refuseHeaders refuses the sources that are headers, in one error for all,
// since one line fixes them all.
func refuseHeaders(options []option) []error {
	var names []string
	for _, o := range options {
		if o.target.kind == kindHeader {
			names = append(names, o.name+" ("+o.target.key+")")
		}
	}
	if names == nil {
		return nil
	}
	return []error{fmt.Errorf("%s: a client can send this header itself, so nobody believes it yet: add the line \"trust forward_auth\" if a forward_auth before this directive gets it from an auth server, or \"trust proxies <ranges>\" if a proxy in front of this server sets it and removes the client's", strings.Join(names, ", "))}
}

// trustForwardAuth turns the sources that are headers of the request into
// headers of the auth server's answer, so that the request's are out of reach.
func (i *Identifier) trustForwardAuth(written string, options []option) []error {
	for _, o := range options {
		if o.target.kind == kindHeader {
			*o.target = source{kindAnswer, answerPrefix + o.target.key}
		}
	}
	if written == "" {
		return nil
	}
	u, err := parseUpstream(written)
	if err != nil {
		// Without what was written: a URL may hold a password.
		return []error{fmt.Errorf("trust: the upstream of forward_auth %w: write it as in the forward_auth line, such as \"trust forward_auth authelia:9091\"", err)}
	}
	i.upstream = u
	return nil
}

// trustProxies takes over the ranges, and refuses headers that the server
// drops before any handler sees them.
func (i *Identifier) trustProxies(c Config, options []option) (errs []error) {
	for n, p := range c.Trust.Ranges {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("trust: range %d of proxies is not valid: write one such as 10.0.0.0/8", n+1))
			continue
		}
		i.ranges = append(i.ranges, unmap(p))
	}
	for _, o := range options {
		name := o.target.key
		if o.target.kind != kindHeader || !strings.ContainsAny(name, "_.") {
			continue
		}
		if c.HeaderLetThrough != nil && c.HeaderLetThrough(name) {
			continue
		}
		list := "expected_underscore_headers"
		if !strings.Contains(name, "_") {
			list = "expected_dot_headers"
		}
		errs = append(errs, fmt.Errorf("%s: the server drops the request header %s before it gets here: name it in the server's option %s, or let the proxy send a name with hyphens", o.name, name, list))
	}
	return errs
}

// unmap returns a range of IPv4 addresses within IPv6 as the range of IPv4
// addresses it is, which is how peers are compared.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// setDomains takes over the option domains.
func (i *Identifier) setDomains(domains []string) (errs []error) {
	for _, d := range domains {
		if _, ok := checkAddress("a@" + d); !ok || strings.Contains(d, "*") || strings.HasPrefix(d, ".") {
			errs = append(errs, fmt.Errorf("domains: %q is not a domain: write it alone, such as example.com, and each subdomain by itself", d))
			continue
		}
		if i.domains == nil {
			i.domains = make(map[string]struct{}, len(domains))
		}
		i.domains[string(appendLower(nil, d))] = struct{}{}
	}
	return errs
}
