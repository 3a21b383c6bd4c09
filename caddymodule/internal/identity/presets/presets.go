// Package presets is what is known of the authentication layers in front of a site: in
// which headers or placeholders each of them names the user, and how its signed
// assertions are verified. An operator chooses one with the option identity, and writes
// the same things, a Source or Verify, where a layer is not known here.
//
// It holds data and reads no request: the package identity does.
package presets

import (
	"net/textproto"
	"slices"
	"strings"
)

// Preset describes one authentication layer. A preset is closed: it never reads what
// another layer writes.
type Preset struct {
	// Name is what follows the option identity.
	Name string
	// Sources are read without the block verify. Without an address among
	// them the layer has nothing but its assertion, and needs that block.
	Sources Sources
	// Signed are read with the block verify, all from one assertion. Without
	// an address among them the layer has no assertion.
	Signed Sources
	// Verify is what the block verify says unless it is written there. In
	// its texts {issuer}, {audience} and {region} stand for what is written.
	Verify Verify
	// IssuerExample and JWKSExample are what to write for what Verify leaves
	// open.
	IssuerExample, JWKSExample string
	// Logins says that what the layer sends may be a login at an identity
	// provider, such as user@github. Only with a dot in its domain it is
	// taken for an address.
	Logins bool
	// AlsoSent are further request headers with something personal in them,
	// which belong into the filter of a log.
	AlsoSent []string
	// Note is what an operator should know of the layer.
	Note string
}

// All returns every preset there is, by name.
func All() []Preset { return slices.Clone(table[:]) }

// Find returns the preset of that name.
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

// NeedsTrust reports whether the preset reads headers that somebody has to be
// trusted to have set.
func (p Preset) NeedsTrust() bool {
	return p.Sources.Email.From != "" && !strings.HasPrefix(p.Sources.Email.From, "{")
}

// Headers are the request headers that name the user, for the filter of a log,
// in their canonical form and sorted.
func (p Preset) Headers() []string {
	var all []string
	add := func(name string) {
		if !strings.HasPrefix(name, "{") {
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
