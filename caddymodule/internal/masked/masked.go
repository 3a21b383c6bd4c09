// Package masked holds text that must not be printed: secrets, tokens, and data that
// identifies a person. A String can be passed around, compared and put into structs.
// Every way of printing it shows a placeholder. Only Reveal returns the text.
package masked

import (
	"fmt"
	"io"
)

// mask is printed in place of the text.
const mask = "***"

// String is text that is not printed. The zero value is empty.
//
// The text is behind a pointer because package fmt prints the unexported fields of a
// struct by reflection, without calling their methods. It then prints an address, and
// never the text.
type String struct{ text *string }

// New returns text as a String.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{&text}
}

// Reveal returns the text. The caller is responsible for where it goes.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s String) IsZero() bool { return s.text == nil }

// Equal reports whether both hold the same text. (== compares pointers.) It does not
// take constant time: do not use it to compare a secret with input from a client.
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

// Format implements fmt.Formatter, for every other verb. Otherwise %x and %q would
// print the bytes of String, and %d the pointer.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json and zap use for
// values and for map keys.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Interface guards
var (
	_ fmt.Stringer   = String{}
	_ fmt.GoStringer = String{}
	_ fmt.Formatter  = String{}
)
