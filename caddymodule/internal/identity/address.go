package identity

import (
	"unicode"
	"unicode/utf8"
)

const (
	maxAddress = 254 // bytes; RFC 5321 leaves no room for more
	maxUserID  = 256 // bytes
)

// checkAddress reports whether s is one plain e-mail address, and where its @
// stands.
//
// Mail servers accept more than this: quoted local parts, comments, groups.
// Whatever two readers may understand differently is refused, because here the
// address decides whose data is opened.
func checkAddress(s string) (at int, ok bool) {
	if len(s) > maxAddress {
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
			case !plain[c]:
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
	return at, at > 0 && at < len(s)-1
}

// plain holds the ASCII characters of an address, except @.
var plain = func() (set [utf8.RuneSelf]bool) {
	for c := byte('!'); c <= '~'; c++ {
		set[c] = true
	}
	for _, c := range []byte(`@,;:<>(){}"`) {
		set[c] = false
	}
	return set
}()

// visible reports whether a reader would see r.
func visible(r rune) bool {
	switch r {
	case utf8.RuneError:
		// Invalid UTF-8; or the character itself, which is what is left where
		// somebody before us replaced bytes: of several people, perhaps.
		return false
	case '\u2800': // a blank that counts as a symbol
		return false
	}
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// usableID reports whether s can be passed on as the user's id.
func usableID(s string) bool {
	if len(s) > maxUserID {
		return false
	}
	for _, r := range s {
		// As in an address: what is left where bytes were replaced.
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// isInteger reports whether a JSON number is written as digits alone.
func isInteger(n string) bool {
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return n != "" && len(n) <= maxUserID
}

// lower returns c, lowered if it is an ASCII letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// appendLower appends s to dst with its ASCII letters lowered.
func appendLower(dst []byte, s string) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[n:] {
		dst[n+i] = lower(c)
	}
	return dst
}

// equalFold reports whether s is the same as lowered, which has no ASCII
// capitals, but for the case of ASCII letters.
func equalFold(s, lowered string) bool {
	if len(s) != len(lowered) {
		return false
	}
	for i := range len(s) {
		if lower(s[i]) != lowered[i] {
			return false
		}
	}
	return true
}
