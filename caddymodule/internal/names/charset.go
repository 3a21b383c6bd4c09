package names

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// ToUTF8 returns s if it is valid UTF-8. Otherwise it decodes s as Latin-1.
func ToUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return fromLatin1(s)
}

// fromLatin1 decodes Latin-1. As in browsers, the bytes 0x80 to 0x9F, which are control
// characters in Latin-1, are decoded as Windows-1252: ’ and Š. A byte that Windows-1252
// does not define remains a control character.
func fromLatin1(s string) string {
	var b strings.Builder
	b.Grow(2 * len(s))
	for i := range len(s) {
		r := charmap.Windows1252.DecodeByte(s[i])
		if r == utf8.RuneError {
			r = rune(s[i])
		}
		b.WriteRune(r)
	}
	return b.String()
}

// toLatin1 returns the byte that encodes r in Latin-1 or Windows-1252.
func toLatin1(r rune) (byte, bool) {
	if r <= 0xff {
		return byte(r), true
	}
	return charmap.Windows1252.EncodeRune(r)
}

// fixMojibake decodes text that was encoded twice, because its UTF-8 was read as
// Latin-1 or Windows-1252: RenÃ© becomes René. It decodes once. It returns s unchanged
// if s cannot be such text, or if s may be a correct name.
func fixMojibake(s string) string {
	if !strings.ContainsFunc(s, isMojibake) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		c, ok := toLatin1(r)
		if !ok {
			return s
		}
		b = append(b, c)
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

// isMojibake reports whether r indicates text that was encoded twice: a character that
// does not occur in names, or Ã, Ä or Å, the first characters of a wrongly decoded
// Latin letter from À to ž. Other characters may be part of a correct name whose bytes
// in Windows-1252 happen to be valid UTF-8: KRÍŽ, JOSÉ’S, RENÉ–LUC.
func isMojibake(r rune) bool {
	const (
		signs   = "ÃÄÅƒˆªºµ"
		inNames = "‘’“”´–—…\u00a0\u00ad" // in addition to letters
	)
	return strings.ContainsRune(signs, r) ||
		r > unicode.MaxASCII && !unicode.IsLetter(r) && !strings.ContainsRune(inNames, r)
}
