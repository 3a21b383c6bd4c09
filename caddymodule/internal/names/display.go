package names

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the maximum length of a first or last name in bytes.
const maxName = 200

// sanitize removes control and invisible characters, and trims spaces.
func sanitize(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' ' // a tab separates words, also in a folded header
		case isRemoved(r):
			return -1
		}
		return r
	}, s))
}

// isRemoved reports whether sanitize removes r: control characters, line breaks,
// invisible characters, and characters that change the direction of text, which can
// make a name look like another one. The zero-width joiner and non-joiner (U+200D,
// U+200C) are kept, because names in Persian, Hindi and other languages need them.
func isRemoved(r rune) bool {
	return r != '\u200d' && r != '\u200c' &&
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// Split splits a sanitized name at its last space. A name without a space is a first
// name.
func Split(name string) (first, last string) {
	i := strings.LastIndexFunc(name, unicode.IsSpace)
	if i < 0 {
		return name, ""
	}
	_, size := utf8.DecodeRuneInString(name[i:])
	return strings.TrimSpace(name[:i]), name[i+size:]
}

// Limit truncates a sanitized name to 200 bytes, at a rune boundary. Combining marks
// after the cut are lost.
func Limit(name string) string { return strings.TrimSpace(cut(name, maxName)) }

// cut returns at most limit bytes of s. It does not split a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	// Text that is not UTF-8 may have no rune start nearby.
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:limit]
}
