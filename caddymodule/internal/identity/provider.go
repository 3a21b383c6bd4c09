package identity

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
)

// Words of the option verified, for the presets of identity providers, which demand that
// the token states that the address is verified.
const (
	// verifiedAssumed: the operator states that every address is verified. Only an
	// explicit no is a rejection.
	verifiedAssumed = "assumed"
	// verifiedOff: nothing is checked.
	verifiedOff = "off"
)

// takeVerifiedWord removes a word of the option verified from c, and returns it. It
// returns "" if the option has none.
func (c *Config) takeVerifiedWord() (word string) {
	if c.Verified == verifiedAssumed || c.Verified == verifiedOff {
		word, c.Verified = c.Verified, ""
	}
	return word
}

// setVerifiedWord applies a word of the option verified to the sources of a preset. It
// returns an error if the preset has no use for it, or if the preset requires the option
// and it is not set.
func (c *Config) setVerifiedWord(word string, preset presets.Preset, s *presets.Sources) error {
	switch {
	case preset.Provider == nil && word != "":
		return fmt.Errorf("verified: %s is valid only with presets that demand a verified address (%s); remove it, or write the source that says whether the address is verified", word, strings.Join(presets.DemandingVerified(), ", "))
	case preset.Provider == nil:
	case word == verifiedAssumed:
		s.Verified.Optional = s.Verified.From != ""
		s.Email.Optional = true
	case word == verifiedOff:
		s.Verified = presets.Source{}
		s.Email.ConfirmedBy = ""
	case c.Verified != "":
		s.Email.ConfirmedBy = ""
	case c.Email != "" && (c.Email != preset.Signed.Email.String() || preset.Signed.Email.ConfirmedBy != ""):
		return fmt.Errorf("verified: is required with email: the preset %s verifies the address that it reads itself; write \"verified <source>\" with the claim that says whether your address is verified, or \"verified assumed\" if every address is", preset.Name)
	case preset.StatesNothing():
		return fmt.Errorf("verified: is required: a token of %s does not say whether the email address is verified, except where users can write it themselves; write \"verified assumed\" only if you have made sure that nobody can sign up with an address that is not verified (caddy huma presets %s)", preset.Name, preset.Name)
	}
	return nil
}

// rejectUserWritten rejects an address, an id or a verification at a path that users of
// the preset's provider can write themselves.
func rejectUserWritten(options []option, preset presets.Preset) (errs []error) {
	if preset.Provider == nil {
		return nil
	}
	for _, o := range options {
		if o.name != "email" && o.name != "user_id" && o.name != "verified" {
			continue
		}
		for _, path := range o.target.paths {
			if i := slices.IndexFunc(path, func(name string) bool { return slices.Contains(preset.Provider.UserWritten, name) }); i >= 0 {
				errs = append(errs, fmt.Errorf("%s: must not be read in %s, which users can write themselves", o.name, path[i]))
			}
		}
	}
	return errs
}

// counts reports whether the address at the paths of a source counts: whether the claim
// that confirms it says so, or, without that claim, its domain is in the option domains.
func (i *Identifier) counts(doc claims.Document, s *source, address any) bool {
	if s.confirmedBy == nil {
		return true
	}
	stated, err := doc.Only(s.confirmedBy)
	switch {
	case err != nil:
		return false
	case s.optional:
		return !claims.IsNo(stated)
	case stated != nil:
		// A boolean in Microsoft's documentation; 1 and "1" have been seen in tokens.
		return stated == true || stated == json.Number("1") || stated == "1" || stated == "true"
	}
	text, ok := claims.Text(address)
	if !ok || i.domains == nil {
		return false
	}
	text = syntax.TrimAddress(text)
	at, ok := syntax.Address(text)
	return ok && i.domainAllowed(text[at+1:])
}
