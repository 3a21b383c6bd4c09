// Package presets holds what the plugin knows about authentication layers and identity
// providers: the headers, placeholders or claims in which each one names the user, and
// how its signed assertions are verified. The operator chooses a preset with the option
// identity, or writes a Source and Verify for any other layer.
//
// The package holds data, and completes a config with it. Package identity reads the
// requests.
package presets

import (
	"net/textproto"
	"slices"
	"strings"
)

// Preset describes one authentication layer or identity provider. A preset reads only
// what its own layer or provider sends.
type Preset struct {
	// Name is the argument of the option identity.
	Name string
	// Sources are read without the block verify. If Email is empty, the layer sends
	// only a signed assertion and requires the block verify.
	Sources Sources
	// Signed are read with the block verify, all from one assertion. If Email is empty,
	// the layer sends no signed assertion that the plugin knows.
	Signed Sources
	// Verify holds the defaults of the block verify. In its texts, {issuer}, {audience}
	// and {region} are replaced by the configured values.
	Verify Verify
	// Provider, if not nil, says that the preset reads the tokens of an identity provider,
	// which apps send as Authorization: Bearer. Sources is empty then: the tokens are
	// always verified, by the options of the block verify, which the Caddyfile has
	// directly in the block identity.
	Provider *Provider
	// IssuerExample and JWKSExample are examples for error messages, for options that
	// Verify has no default for.
	IssuerExample, JWKSExample string
	// Logins reports that the layer may send a login at an identity provider, such as
	// user@github. It is accepted as an address only with a dot in its domain.
	Logins bool
	// AlsoSent are further request headers with personal data or secrets. A log filter
	// should remove them too.
	AlsoSent []string
	// AuthPath is the path of the layer's endpoint for the option auth_server. It is
	// used if the URL has no path. Empty: the layer is not an auth server.
	AuthPath string
	// Note is advice for the operator about the layer, for the documentation.
	Note string
}

// table holds all presets, sorted by name.
var table = func() []Preset {
	all := slices.Concat(layers[:], providers[:])
	slices.SortFunc(all, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) })
	return all
}()

// All returns all presets, sorted by name.
func All() []Preset { return slices.Clone(table) }

// Find returns the preset with the given name, and whether there is one.
func Find(name string) (Preset, bool) {
	for _, p := range table {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}

// Names returns the names of all presets, sorted.
func Names() []string {
	names := make([]string, 0, len(table))
	for _, p := range table {
		names = append(names, p.Name)
	}
	return names
}

// NeedsTrust reports whether the preset reads headers that need the option trust.
func (p Preset) NeedsTrust() bool {
	return p.Sources.Email.From != "" && !strings.HasPrefix(p.Sources.Email.From, "{")
}

// Headers returns the request headers that a log filter should remove: those of all
// sources and AlsoSent, without Authorization, which Caddy itself removes from logs. The
// names are canonical, sorted and unique.
func (p Preset) Headers() []string {
	var all []string
	add := func(name string) {
		if !strings.HasPrefix(name, "{") && name != bearer {
			all = append(all, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	p.Sources.each(func(s Source) { add(s.From) })
	p.Signed.each(func(s Source) { add(s.From) })
	for _, name := range p.AlsoSent {
		add(name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
