package names

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is how many bytes a first or last name may have.
const maxName = 200

// clean returns text without what would do something instead of being seen,
// trimmed.
func clean(s string) string {
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

// removed reports whether r is taken out of names: control characters, line
// breaks, what turns the direction of text, which is a way to make a name look
// like another one, and what is invisible. The two joiners stay, for names in
// Persian, Hindi and others are not written without them, and so do the
// variants of a character.
func removed(r rune) bool {
	switch {
	case r == joiner, r == '\u200c', unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
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

// Limit cuts a clean name to the length of one that is passed on.
func Limit(name string) string {
	short := cut(name, maxName)
	if len(short) < len(name) {
		short = short[:boundary(name, len(short))]
	}
	return strings.TrimSpace(short)
}

// boundary returns where what a reader sees as one character begins that
// continues at end: a letter with its accents, an emoji with its parts.
func boundary(s string, end int) int {
	const longest = 64 // bytes; more than any that is written in earnest
	for i := end; i > 0 && i > end-longest; {
		next, _ := utf8.DecodeRuneInString(s[i:])
		before, size := utf8.DecodeLastRuneInString(s[:i])
		if !continues(next) && before != joiner {
			return i
		}
		i -= size
	}
	return end
}

const joiner = '\u200d'

// continues reports whether r belongs to what stands before it.
func continues(r rune) bool {
	return r == joiner || r == '\u200c' || unicode.Is(unicode.M, r) ||
		'\U0001f3fb' <= r && r <= '\U0001f3ff' // the colours of skin
}

// cut returns at most limit bytes of s, without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	// In text that is not UTF-8 no start of a character may be near.
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:limit]
}

// withoutPartial returns s without the beginning of a character at its end.
func withoutPartial(s string) string {
	for i := len(s) - 1; i >= 0 && i > len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				return s[:i]
			}
			break
		}
	}
	return s
}
