package service

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// FoldAddress returns an email address with ASCII letters in lower case. Unicode case
// folding would merge different users: U+212A, the Kelvin sign, folds to k.
func FoldAddress(email string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, email)
}

// MaxAddress is the maximum length of an email address in bytes (RFC 5321).
const MaxAddress = 254

// AddressProblem returns why an email address is invalid, as the end of a sentence, or ""
// if it is valid. It accepts only common addresses, not everything that RFC 5322 allows.
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
		return "contains a space or a control character"
	}
	return ""
}

// IsHeaderName reports whether s is a valid header name (RFC 9110, section 5.6.2).
func IsHeaderName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
