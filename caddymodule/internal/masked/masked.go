// Package masked holds text that must not be printed: secrets, tokens, and
// what identifies a person. A String can be passed around, compared and put
// into structs, and every way of printing it shows a placeholder; the text
// comes out through Reveal alone.
package masked

import (
	"fmt"
	"io"
)

// mask is what every printer shows in place of the text.
const mask = "***"

// String is text that does not print. The zero value is empty.
//
// The text stands behind a pointer because package fmt prints the unexported
// fields of a struct by reflection, without asking their methods: behind a
// pointer it finds an address there, and never the text.
type String struct{ text *string }

// New masks text.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{&text}
}

// Reveal returns the text. Whoever calls it answers for where it goes.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s String) IsZero() bool { return s.text == nil }

// Equal reports whether both hold the same text. (== compares pointers.)
// It takes no constant time; do not compare secrets from strangers with it.
func (s String) Equal(other String) bool { return s.Reveal() == other.Reveal() }

// String implements fmt.Stringer with a placeholder.
func (s String) String() string {
	if s.text == nil {
		return ""
	}
	return mask
}

// GoString implements fmt.GoStringer, for %#v.
func (s String) GoString() string { return s.String() }

// Format implements fmt.Formatter, for every other verb (%x and %q would
// otherwise ask String for its bytes, and %d would look at the pointer).
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json and zap
// use for values and for the keys of maps.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Interface guards
var (
	_ fmt.Stringer   = String{}
	_ fmt.GoStringer = String{}
	_ fmt.Formatter  = String{}
)
