package service

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// FoldAddress lowers the ASCII letters of an address. Unicode's folding would
// make one user of two: U+212A, the Kelvin sign, folds to k.
func FoldAddress(email string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, email)
}

// MaxAddress is the longest e-mail address, in bytes (RFC 5321).
const MaxAddress = 254

// AddressProblem says what is wrong with an e-mail address, if anything. It
// is a check for plain addresses, not a parser of everything mail allows.
func AddressProblem(email string) string {
	local, domain, found := strings.Cut(email, "@")
	switch {
	case email == "":
		return "is empty"
	case len(email) > MaxAddress:
		return "is too long"
	case !utf8.ValidString(email):
		return "is not UTF-8"
	case !found || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "is not of the form local@domain"
	case strings.ContainsFunc(email, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "holds a space or a control character"
	}
	return ""
}

// IsHeaderName reports whether s can be a header's name (RFC 9110, 5.6.2).
func IsHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
