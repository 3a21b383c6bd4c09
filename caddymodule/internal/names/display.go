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

// Split splits a sanitized full name into first and last name. A directory may write the
// last name first, before a comma: "Last, First". Any other name is split at its last
// space. A name without a space is a first name.
func Split(name string) (first, last string) {
	if last, first, ok := cutAtComma(name); ok {
		return first, last
	}
	i := strings.LastIndexFunc(name, unicode.IsSpace)
	if i < 0 {
		return name, ""
	}
	_, size := utf8.DecodeRuneInString(name[i:])
	return strings.TrimSpace(name[:i]), name[i+size:]
}

// IsMissing reports whether a full name is a text that servers and languages write in
// place of a missing value.
func IsMissing(name string) bool {
	switch name {
	case "(null)", "null", "undefined", "-":
		return true
	}
	return false
}

// cutAtComma cuts a name at its only comma. ok is false if there is not exactly one
// comma with text on both sides, or if the text after it is a suffix of the name.
func cutAtComma(name string) (before, after string, ok bool) {
	before, after, _ = strings.Cut(name, ",")
	before, after = strings.TrimSpace(before), strings.TrimSpace(after)
	ok = before != "" && after != "" && !strings.Contains(after, ",") && !isSuffix(after)
	return before, after, ok
}

// maxCapitals is the maximum length of a title or degree in capitals, such as FRCPC.
const maxCapitals = 5

// isSuffix reports whether the text after the comma of a name is not a first name, but
// a suffix such as Jr, a title or a degree: Alice Miller, M.D.
func isSuffix(s string) bool {
	switch s {
	case "Jr", "Sr", "II", "III", "MD", "PhD":
		return true
	}
	return strings.Contains(s, ".") ||
		utf8.RuneCountInString(s) <= maxCapitals && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsUpper(r) })
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
