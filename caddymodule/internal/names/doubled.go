package names

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// undouble undoes what happens when UTF-8 is taken for Latin-1 or Windows-1252
// and encoded once more, for as many times as it may have happened: RenÃ©
// becomes René. All of s must have gone through it, or s stays as it is.
func undouble(s string, times int) string {
	once, ok := undoubleOnce(s)
	if !ok || times == 0 {
		return s
	}
	if more := undouble(once, times-1); more != once {
		return more
	}
	// No name has these, so s had been right.
	if strings.ContainsFunc(once, func(r rune) bool { return 0x80 <= r && r <= 0x9f }) {
		return s
	}
	return once
}

func undoubleOnce(s string) (string, bool) {
	// Each character of s stands for one byte.
	chars := []rune(s)
	b := make([]byte, len(chars))
	for i, r := range chars {
		c, ok := toByte(r)
		if !ok {
			return "", false
		}
		b[i] = c
	}
	if !utf8.Valid(b) {
		return "", false
	}
	found := false
	for i := 0; i < len(b); {
		_, size := utf8.DecodeRune(b[i:])
		if size > 1 {
			inWord := i > 0 && unicode.IsLetter(chars[i-1])
			found = found || telling(chars[i:i+size], inWord)
		}
		i += size
	}
	return string(b), found
}

// telling reports whether the characters that stand for one cannot be what
// they look like. The name KRÍŽ is right, although Í and Ž would make a
// character; so are JOSÉ’S and Weiß–Schmidt.
func telling(chars []rune, inWord bool) bool {
	switch chars[0] {
	case 'Ã', 'Ä', 'Å':
		// Here begins what is Latin, from À to ž: by far the most frequent.
		return true
	}
	// Three may follow each other within a word only, as in Tomáš–Karl.
	return len(chars) > 2 && !inWord || strings.ContainsFunc(string(chars), notInName)
}

// notInName reports whether r cannot follow a letter in a name. It is asked
// about characters of Latin-1 and Windows-1252 beyond ASCII.
func notInName(r rune) bool {
	switch r {
	case '‘', '’', '“', '”', '´', '–', '—', '…', '\u00a0', '\u00ad':
		return false
	case 'ƒ', 'ˆ', 'ª', 'º', 'µ': // letters to Unicode
		return true
	}
	return !unicode.IsLetter(r)
}
