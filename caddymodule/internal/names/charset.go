package names

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// text returns s if it is valid UTF-8, else s read as Latin-1.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return fromLatin1(s)
}

// fromLatin1 reads each byte as a character. Latin-1 has control characters
// from 0x80 to 0x9F, where Windows-1252 has ’ and Š: like browsers, this takes
// them for those.
func fromLatin1(s string) string { return fromCharmap(charmap.Windows1252, s) }

// repair reads as Latin-1 the bytes of s that are not UTF-8, and those alone.
func repair(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			b.WriteString(fromLatin1(s[:1]))
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// fromCharset decodes s from a character set that an encoded word or an
// extended value names. From UTF-8 it may still be invalid.
func fromCharset(charset, s string) (decoded string, ok bool) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8":
		return s, true
	case "us-ascii", "iso-8859-1", "windows-1252", "cp1252":
		return fromLatin1(s), true
	case "iso-8859-15":
		return fromCharmap(charmap.ISO8859_15, s), true
	}
	return "", false
}

// fromCharmap reads each byte as a character. A byte without a meaning becomes
// the control character of that number, which is removed in the end.
func fromCharmap(m *charmap.Charmap, s string) string {
	var b strings.Builder
	b.Grow(2 * len(s))
	for i := range len(s) {
		r := m.DecodeByte(s[i])
		if r == utf8.RuneError {
			r = rune(s[i])
		}
		b.WriteRune(r)
	}
	return b.String()
}

// toByte returns the byte that is read as r in Latin-1 or in Windows-1252.
func toByte(r rune) (byte, bool) {
	if r <= 0xff {
		return byte(r), true
	}
	return charmap.Windows1252.EncodeRune(r)
}
