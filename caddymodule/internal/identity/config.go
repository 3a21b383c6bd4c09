package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
	"github.com/caddy-huma/caddy-huma/internal/suggest"
)

// TrustMode selects who is trusted to set an identity header.
type TrustMode uint8

// The trust modes.
const (
	// TrustNone trusts no header. New returns an error for every source that is an
	// unsigned request header.
	TrustNone TrustMode = iota
	// TrustForwardAuth reads the headers from the response of the auth server
	// (forward_auth), and never from the request.
	TrustForwardAuth
	// TrustProxies reads the headers from the request, if the direct peer is a trusted
	// proxy.
	TrustProxies
)

// Trust holds the option trust.
type Trust struct {
	// Mode selects who is trusted.
	Mode TrustMode
	// Upstream is the auth server that the last proxy must have chosen: host:port, or the
	// path of a Unix socket. Empty allows any upstream. Valid with TrustForwardAuth only.
	Upstream string
	// Ranges are the address ranges of trusted direct peers. Empty means the
	// trusted_proxies of the server. Valid with TrustProxies only. A peer on a Unix
	// socket has no address, so it is in no range.
	Ranges []netip.Prefix
}

// Config configures an Identifier that reads the user from the request itself.
type Config struct {
	// ByID identifies users by their id instead of their address. UserID (or the
	// preset's source of it) is required then, and Email may be empty.
	ByID bool
	// Preset is the name of a preset. Empty means no preset.
	Preset string
	// Sources as configured: the name of a request header, or one placeholder in
	// braces. If the header or placeholder holds a document, the paths within it follow,
	// separated by spaces. The first that has a value is used. Each source that is not
	// empty overrides the one of the preset. With a preset of an identity provider,
	// Verified may also be assumed or off.
	Email, UserID, Name, FirstName, LastName, Verified string
	// NameEncoding is the encoding of the names.
	NameEncoding names.Encoding
	// Domains are the allowed email domains. Empty allows all. Subdomains are not
	// included. A domain may be written in Unicode or in punycode.
	Domains []string
	// Trust selects who is trusted to set headers.
	Trust Trust
	// Verify reads the sources that have a path from signed assertions, which Verifier
	// verifies.
	Verify   bool
	Verifier Verifier
	// AuthServer, if not nil, is called for each request. Sources that are header names
	// then name headers of its response. Trust and Verify must not be set.
	AuthServer AuthServer
	// Forwards are the canonical names of the request headers that AuthServer forwards.
	Forwards []string
	// ForwardsHeader reports whether the server passes a request header on to its
	// handlers. It is called while New runs, with canonical names. If nil, the server
	// forwards all headers except those with an underscore or a dot in their name.
	ForwardsHeader func(name string) bool
}

// option is an option that takes a source, the source that the config or the preset has
// for it, and the field it sets.
type option struct {
	name       string
	configured presets.Source
	target     *source
}

// sources returns all options that take a source.
func (i *Identifier) sources(s presets.Sources) []option {
	return []option{
		{"email", s.Email, &i.email},
		{"user_id", s.UserID, &i.userID},
		{"name", s.Name, &i.name},
		{"first_name", s.FirstName, &i.firstName},
		{"last_name", s.LastName, &i.lastName},
		{"verified", s.Verified, &i.verified},
	}
}

// New returns the Identifier that c describes. The error joins all problems, each with
// the name of the option and how to fix it.
func New(c Config) (*Identifier, error) {
	i := &Identifier{byID: c.ByID, nameEncoding: c.NameEncoding, verifier: c.Verifier}
	var errs []error
	preset, known := presets.Find(c.Preset)
	c.Verify = c.Verify || preset.Provider != nil
	word := c.takeVerifiedWord()
	sources, sourcesErr := c.sources(preset, known)
	if sourcesErr != nil {
		errs = append(errs, sourcesErr)
	}
	if err := c.setVerifiedWord(word, preset, &sources); err != nil {
		errs = append(errs, err)
	}
	i.requireDot = preset.Logins && c.Email == ""
	options := i.sources(sources)
	for _, o := range options {
		if o.configured.From == "" {
			continue
		}
		s, err := parseSource(o.configured)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, err))
			continue
		}
		*o.target = s
	}
	errs = append(errs, rejectUserWritten(options, preset)...)
	if sourcesErr == nil {
		if c.Verify {
			errs = append(errs, setSigned(options, c.ByID, c.Trust.Mode == TrustNone)...)
		}
		errs = append(errs, i.setRequireAddress(sources, len(c.Domains) > 0)...)
	}
	errs = append(errs, rejectUnsignedCookies(options)...)
	i.cookiesFromProxies = c.Trust.Mode == TrustProxies
	if c.AuthServer != nil {
		errs = append(errs, i.useAuthServer(c, options)...)
	} else {
		errs = append(errs, i.setTrust(c, options)...)
	}
	errs = append(errs, i.setDomains(c.Domains)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i.precompute(sources)
	if word == verifiedOff {
		i.verification = verification{}
	}
	return i, nil
}

// sources returns the sources of the preset, if it is known, overridden by the
// configured ones.
func (c *Config) sources(preset presets.Preset, known bool) (s presets.Sources, err error) {
	s = preset.Sources
	if c.Verify && preset.Signed.Email.From != "" {
		s = preset.Signed
	}
	// The option that identifies the user, and its configured source.
	required, configured, example := "email", c.Email, "email Authorization email"
	if c.ByID {
		required, configured, example = "user_id", c.UserID, "user_id Authorization sub"
	}
	switch {
	case c.Preset != "" && !known:
		err = fmt.Errorf("identity: unknown preset %q%s; use one of %s", c.Preset, suggest.DidYouMean(c.Preset, presets.Names()), strings.Join(presets.Names(), ", "))
	case c.Verify && known && preset.Signed.Email.From == "":
		err = fmt.Errorf("verify: the preset %s has no supported signed assertion: remove verify, or remove the preset and name the header and the claim, for example %q", preset.Name, example)
	case configured != "":
	case known && s.Email.From == "":
		err = fmt.Errorf("identity: the preset %s requires the block verify: write \"identity %s { verify { … } }\" on several lines, with %s", preset.Name, preset.Name, preset.Verify.Requires())
	case !known:
		err = fmt.Errorf("%s: is required: write \"identity <preset>\", or \"%s <source>\" in the block of identity", required, required)
	case c.ByID && s.UserID.From == "":
		err = fmt.Errorf("user_id: is required: the preset %s has no user ID; write \"user_id <source>\" in the block of identity", preset.Name)
	}
	presetEmail := s.Email
	for _, o := range []struct {
		from   string
		target *presets.Source
	}{
		{c.Email, &s.Email}, {c.UserID, &s.UserID}, {c.Name, &s.Name},
		{c.FirstName, &s.FirstName}, {c.LastName, &s.LastName}, {c.Verified, &s.Verified},
	} {
		if o.from != "" {
			*o.target = presets.ParseSource(o.from)
			// If the preset reads this header as a list of claims, every option does.
			o.target.ClaimList = presetEmail.ClaimList && strings.EqualFold(o.target.From, presetEmail.From) && o.target.Paths != nil
		}
	}
	return s, err
}

// setSigned marks the sources with a path as signed assertions. If fromAnyone is true
// (no option trust), a header with an assertion is accepted from any peer. Otherwise
// the rules of trust apply to it too.
//
// A source with an error is disabled (kindNone), so that no second error asks for a
// trust, which would not fix it.
func setSigned(options []option, byID, fromAnyone bool) (errs []error) {
	email, required, claim := options[0].target, options[0], "email"
	if byID {
		required, claim = options[1], "sub"
	}
	switch {
	case required.target.kind == kindNone:
		return nil // New has already reported an error
	case required.target.paths == nil:
		for _, o := range options {
			if o.target == required.target || o.target.paths != nil {
				o.target.kind = kindNone // a trust would not fix it
			}
		}
		return []error{fmt.Errorf("%s: must be read from a signed assertion, because verify is set: write the header and the claim, for example \"%s Authorization %s\"", required.name, required.name, claim)}
	}
	at := required.target.location
	for _, o := range options {
		s := o.target
		switch {
		case byID && s == email && s.kind != kindNone && s.paths == nil:
			// The assertion would prove the id, but nothing would prove that the
			// address belongs to the same user.
			errs = append(errs, fmt.Errorf("email: must be read from the same signed assertion as user_id, because verify is set: write the header and the claim, for example \"email %s email\"", required.configured.From))
			s.kind = kindNone // a trust would not fix it
			continue
		case s.paths == nil:
			continue
		case s.location != at:
			errs = append(errs, fmt.Errorf("%s: must be read from the same signed assertion as %s, because another assertion may belong to another user", o.name, required.name))
			s.kind = kindNone // a trust would not fix it
			continue
		}
		s.signed = true
		if s.kind == kindHeader && fromAnyone {
			s.kind = kindAssertion
		}
	}
	return errs
}

// precompute precomputes values that every request needs.
func (i *Identifier) precompute(sources presets.Sources) {
	i.sameID = i.userID.kind != kindNone && sources.UserID.String() == sources.Email.String()
	i.verification = newVerification(slices.Concat(i.email.paths, i.email.entra), i.verified.kind != kindNone && !i.verified.optional)
}

// setDomains validates and stores the option domains.
func (i *Identifier) setDomains(domains []string) (errs []error) {
	for _, d := range domains {
		if _, ok := syntax.Address("a@" + d); !ok || strings.Contains(d, "*") {
			errs = append(errs, fmt.Errorf("domains: %q is not a domain: write a domain such as example.com, without a wildcard; list each subdomain separately", d))
			continue
		}
		if i.domains == nil {
			i.domains = make(map[string]struct{}, len(domains))
		}
		i.domains[string(syntax.AppendDomain(nil, d))] = struct{}{}
	}
	return errs
}

// setRequireAddress sets requireAddress: without ByID a user always needs an address;
// with ByID only if the option domains or verified is set.
func (i *Identifier) setRequireAddress(sources presets.Sources, domains bool) []error {
	demanded := !sources.Verified.IsZero() && !sources.Verified.Optional || sources.Email.ConfirmedBy != "" && !sources.Email.Optional
	i.requireAddress = !i.byID || domains || demanded
	if !i.byID || !i.requireAddress || !sources.Email.IsZero() {
		return nil // without ByID, Config.sources has already reported an error
	}
	return []error{errors.New("email: is required by the options domains and verified: write \"email <source>\", or remove these options")}
}

// Verifier verifies signed assertions.
type Verifier interface {
	// Verify returns the claims of a signed token, if its signature, issuer, audience
	// and times are valid. peer is the address of the direct peer, as in http.Request.
	// The error is always a *Rejection.
	Verify(ctx context.Context, token, peer string) (claims.Document, error)
}
