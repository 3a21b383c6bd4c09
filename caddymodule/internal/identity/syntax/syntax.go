// Package syntax defines which text is an email address or a user id, and how addresses
// are compared.
package syntax

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxAddress is the maximum length of an address in bytes. RFC 5321 leaves no room for
// more.
const MaxAddress = 254

const maxID = 256 // bytes

// Address reports whether s is one plain email address, and returns the index of its @.
//
// Mail servers also accept quoted local parts, comments and groups. Address rejects
// them, because two parsers may read them differently, and the address decides whose
// data is opened. It also rejects addresses longer than MaxAddress, and domains
// with an empty label, which a trailing dot leaves too: a@x.example. and a@x.example
// are one mailbox, but would be two users. RFC 5321, section 4.1.2, allows neither.
func Address(s string) (at int, ok bool) {
	if len(s) > MaxAddress {
		return 0, false
	}
	at = -1
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '@':
				if at >= 0 {
					return 0, false
				}
				at = i
			case !addressChars[c]:
				return 0, false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !visible(r) {
			return 0, false
		}
		i += size
	}
	return at, at > 0 && !hasEmptyLabel(s[at+1:])
}

// TrimAddress removes the spaces and tabs around an address.
func TrimAddress(s string) string { return strings.Trim(s, " \t") }

// hasEmptyLabel reports whether a label of a domain is empty.
func hasEmptyLabel(domain string) bool {
	empty := true
	for _, r := range domain {
		if !isDot(r) {
			empty = false
			continue
		}
		if empty {
			return true
		}
		empty = true
	}
	return empty
}

// isDot reports whether r separates the labels of a domain (RFC 3490, section 3.1).
func isDot(r rune) bool {
	switch r {
	case '.', '\u3002', '\uff0e', '\uff61':
		return true
	}
	return false
}

// AppendDomain appends to dst the form in which domains are compared: the A-labels of
// IDNA2008, or, where the domain has none, the domain as written, in lower case (ASCII).
func AppendDomain(dst []byte, domain string) []byte {
	for i := range len(domain) {
		if domain[i] >= utf8.RuneSelf {
			if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
				domain = ascii
			}
			break
		}
	}
	return AppendLower(dst, domain)
}

// addressChars is the set of ASCII characters that an address may contain, except @.
var addressChars = func() (set [utf8.RuneSelf]bool) {
	for c := byte('!'); c <= '~'; c++ {
		set[c] = true
	}
	for _, c := range []byte(`@,;:<>(){}"`) {
		set[c] = false
	}
	return set
}()

// visible reports whether r is printed as a visible character.
func visible(r rune) bool {
	switch r {
	case utf8.RuneError:
		// RuneError means invalid UTF-8, or U+FFFD itself. A component in front may
		// have written U+FFFD in place of bytes that it could not decode, so that
		// several users would have the same value.
		return false
	case '\u2800': // BRAILLE PATTERN BLANK: blank, although Unicode counts it as a symbol
		return false
	}
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// IsID reports whether s can be used as a user id: at most 256 bytes, valid UTF-8, without
// U+FFFD and without control characters. It accepts an empty s.
func IsID(s string) bool {
	if len(s) > maxID {
		return false
	}
	for _, r := range s {
		// RuneError: see visible.
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// IsMissingID reports whether s stands for a missing user: the text of an unreplaced
// placeholder, what servers and languages write for an empty value, or text without a
// visible character. As an id, it would make all users one user.
func IsMissingID(s string) bool {
	switch s {
	case "(null)", "null", "undefined", "None", "nil", "-", "<no value>", "<nil>":
		return true
	}
	return strings.ContainsAny(s, "{}") || !strings.ContainsFunc(s, visible)
}

// IsInteger reports whether the JSON number n consists of ASCII digits alone, at most 256
// of them.
func IsInteger(n string) bool {
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return n != "" && len(n) <= maxID
}

// AppendLower appends s to dst, with its ASCII letters in lower case.
func AppendLower(dst []byte, s string) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[n:] {
		if 'A' <= c && c <= 'Z' {
			dst[n+i] = c + 'a' - 'A'
		}
	}
	return dst
}
