package names

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is how many bytes a first or last name may have.
const maxName = 200

// sanitize removes control characters and what else is not visible, and trims
// spaces.
func sanitize(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' ' // it separates words, also where a header was folded
		case removed(r):
			return -1
		}
		return r
	}, s))
}

// removed reports whether clean removes r: control characters, line breaks,
// invisible characters, and those that change the direction of text, which can
// make a name look like another one. The zero-width joiner and non-joiner
// (U+200D, U+200C) stay: names in Persian, Hindi and others need them.
func removed(r rune) bool {
	return r != '\u200d' && r != '\u200c' &&
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// Split splits a clean name at its last space. A single name is a first name.
func Split(name string) (first, last string) {
	i := strings.LastIndexFunc(name, unicode.IsSpace)
	if i < 0 {
		return name, ""
	}
	_, size := utf8.DecodeRuneInString(name[i:])
	return strings.TrimSpace(name[:i]), name[i+size:]
}

// Limit cuts a clean name to 200 bytes, at the end of a rune. Combining marks
// behind the cut are lost.
func Limit(name string) string { return strings.TrimSpace(cut(name, maxName)) }

// cut returns at most limit bytes of s, without breaking a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	// In text that is not UTF-8 no start of a rune may be near.
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:limit]
}
