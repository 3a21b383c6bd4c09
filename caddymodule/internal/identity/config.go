package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
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

// Config says how users are identified by what comes with a request.
type Config struct {
	// ByID says that a user is who the id says, not who the address says:
	// UserID is the source that has to be there then, and Email may be left
	// out.
	ByID bool
	// Preset is the name of a preset, or empty.
	Preset string
	// The sources as they were written: a request header's name, or one
	// placeholder in braces; behind a space the path within the document that
	// stands there. Each wins over the preset's.
	Email, UserID, Name, FirstName, LastName, Verified string
	// NameEncoding is how names are written.
	NameEncoding names.Encoding
	// Domains are the e-mail domains to allow; empty allows all. A subdomain
	// is another domain; the case of ASCII letters does not matter.
	Domains []string
	// Trust is who is believed about headers.
	Trust Trust
	// Verify says that sources with a path are read from signed assertions,
	// which Verifier verifies.
	Verify   bool
	Verifier Verifier
	// HeaderArrives reports whether the server passes a request header on;
	// nil: all but those whose name has an underscore or a dot. It is asked
	// while New runs, with canonical names.
	HeaderArrives func(name string) bool
}

// option is an option that takes a source, with what was written for it.
type option struct {
	name    string
	written presets.Source
	target  *source
}

// sources are the options that take one.
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

// New returns the Identifier a configuration describes. Its error holds every
// problem there is, each with the name of the option and what would fix it.
func New(c Config) (*Identifier, error) {
	i := &Identifier{byID: c.ByID, nameEncoding: c.NameEncoding, verifier: c.Verifier}
	var errs []error
	row, known := presets.Find(c.Preset)
	written, noSources := c.sources(row, known)
	if noSources != nil {
		errs = append(errs, noSources)
	}
	i.dotted = row.Logins && c.Email == ""
	options := i.sources(written)
	for _, o := range options {
		if o.written.From == "" {
			continue
		}
		s, err := parseSource(o.written)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, err))
			continue
		}
		*o.target = s
	}
	if noSources == nil {
		if c.Verify {
			errs = append(errs, setSigned(options, c.ByID, c.Trust.Mode == TrustNone)...)
		}
		errs = append(errs, i.setAddressNeeded(written, len(c.Domains) > 0)...)
	}
	errs = append(errs, i.setTrust(c, options)...)
	errs = append(errs, i.setDomains(c.Domains)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i.settle(written)
	return i, nil
}

// sources are those of the preset, if it is known, and those that were written over
// them.
func (c *Config) sources(row presets.Preset, known bool) (s presets.Sources, err error) {
	s = row.Sources
	if c.Verify && row.Signed.Email.From != "" {
		s = row.Signed
	}
	// The option that says who the user is, with what was written for it.
	decides, writtenFor, example := "email", c.Email, "email Authorization email"
	if c.ByID {
		decides, writtenFor, example = "user_id", c.UserID, "user_id Authorization sub"
	}
	switch {
	case c.Preset != "" && !known:
		err = fmt.Errorf("identity: unknown preset %q: write one of %s", c.Preset, strings.Join(presets.Names(), ", "))
	case c.Verify && known && row.Signed.Email.From == "":
		err = fmt.Errorf("verify: %s has no signed assertion that is known here: leave verify out, or leave the preset out and name the header with the token and the claim, such as %q", row.Name, example)
	case writtenFor != "":
	case known && s.Email.From == "":
		err = fmt.Errorf("identity: %s is a signed assertion: write \"identity %s { verify { … } }\", on several lines, with %s", row.Name, row.Name, row.Verify.Requires())
	case !known:
		err = fmt.Errorf("%s: no source says who the user is: write \"identity <preset>\", or \"%s <source>\" in its block", decides, decides)
	case c.ByID && s.UserID.From == "":
		err = fmt.Errorf("user_id: no source says who the user is: %s is not known to send an id, so write \"user_id <source>\" in the block of identity", row.Name)
	}
	preset := s.Email
	for _, o := range []struct {
		written string
		target  *presets.Source
	}{
		{c.Email, &s.Email}, {c.UserID, &s.UserID}, {c.Name, &s.Name},
		{c.FirstName, &s.FirstName}, {c.LastName, &s.LastName}, {c.Verified, &s.Verified},
	} {
		if o.written != "" {
			*o.target = presets.ParseSource(o.written)
			// A header that the preset reads as a list of claims is one for
			// every option.
			o.target.ClaimList = preset.ClaimList && strings.EqualFold(o.target.From, preset.From) && o.target.Paths != nil
		}
	}
	return s, err
}

// setSigned makes assertions of the sources with a path. Without a trust they
// are believed from anyone.
func setSigned(options []option, byID, fromAnyone bool) (errs []error) {
	email, decides, claim := options[0].target, options[0], "email"
	if byID {
		decides, claim = options[1], "sub"
	}
	switch {
	case decides.target.kind == kindNone:
		return nil // about which there is an error already
	case decides.target.paths == nil:
		for _, o := range options {
			if o.target == decides.target || o.target.paths != nil {
				o.target.kind = kindNone // a trust would not mend it
			}
		}
		return []error{fmt.Errorf("%s: with verify it is read from a signed assertion: write the header and the claim, such as \"%s Authorization %s\"", decides.name, decides.name, claim)}
	}
	at := decides.target.place
	for _, o := range options {
		s := o.target
		switch {
		case byID && s == email && s.kind != kindNone && s.paths == nil:
			// Who is asking is proven, and whose address that is would not be.
			errs = append(errs, fmt.Errorf("email: with verify it is read from the assertion that user_id is read from: write the header and the claim, such as \"email %s email\"", decides.written.From))
			s.kind = kindNone // a trust would not mend it
			continue
		case s.paths == nil:
			continue
		case s.place != at:
			errs = append(errs, fmt.Errorf("%s: it is read from another assertion than %s, which may be somebody else's: read both from the same", o.name, decides.name))
			s.kind = kindNone // a trust would not mend it
			continue
		}
		s.signed = true
		if s.kind == kindHeader && fromAnyone {
			s.kind = kindAssertion
		}
	}
	return errs
}

// settle works out what requests need again and again.
func (i *Identifier) settle(written presets.Sources) {
	i.sameID = i.userID.kind != kindNone && written.UserID.String() == written.Email.String()
	for _, p := range i.email.paths {
		// What OpenID Connect calls it (Core 1.0, section 5.1), what others
		// do, and what goes with https://clinic.example/email.
		i.unverified = append(i.unverified, p.Beside("email_verified"), p.Beside("emailVerified"), p.Beside(p[len(p)-1]+"_verified"))
		if i.verified.kind == kindNone {
			// These may be of something else than the address, which the
			// option verified says then.
			i.unverified = append(i.unverified, p.Beside("verified"), p.Beside("is_verified"), p.Beside("isVerified"))
		}
	}
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

// setAddressNeeded works out whether a user needs an address: without ByID
// always, and with it if an option is about the address.
func (i *Identifier) setAddressNeeded(written presets.Sources, domains bool) []error {
	i.addressNeeded = !i.byID || domains || !written.Verified.IsZero()
	if !i.byID || !i.addressNeeded || !written.Email.IsZero() {
		return nil // without ByID there is an error about it already
	}
	return []error{errors.New("email: the options domains and verified are about the address, and no source says it: write \"email <source>\", or leave them out")}
}

// Verifier verifies signed assertions.
type Verifier interface {
	// Verify returns what a signed token says, if it is to be believed: its
	// signature, issuer, audience and times. Its error is always a
	// *Rejection.
	Verify(ctx context.Context, token string) (claims.Document, error)
}
