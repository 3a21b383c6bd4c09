// Package names decodes the names of people from the encodings that authentication
// layers use to text for display.
package names

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Encoding is the encoding of names in a header or document.
type Encoding uint8

// Auto detects RFC 2047, RFC 5987, UTF-8, Latin-1, and UTF-8 that was encoded twice. It
// never detects percent-encoding or base64, because "100%25 Bob" and "Anna" may be
// names as they are.
const (
	Auto Encoding = iota
	UTF8
	Latin1
	RFC2047
	Percent
	Base64
)

// ParseEncoding returns the encoding with the given name, and whether the name is
// known. An empty name is Auto.
func ParseEncoding(s string) (Encoding, bool) {
	switch s {
	case "", "auto":
		return Auto, true
	case "utf8":
		return UTF8, true
	case "latin1":
		return Latin1, true
	case "rfc2047":
		return RFC2047, true
	case "percent":
		return Percent, true
	case "base64":
		return Base64, true
	}
	return Auto, false
}

// maxRaw is the maximum number of bytes of a name that are decoded.
const maxRaw = 4096

// Decode decodes raw to text for display: without control characters, and trimmed. It
// returns "" if raw cannot be decoded. Only the first 4096 bytes are used.
func (e Encoding) Decode(raw string) string {
	s := cut(raw, maxRaw)
	switch e {
	case UTF8:
		if !utf8.ValidString(s) {
			return ""
		}
	case Latin1:
		s = fromLatin1(s)
	case RFC2047:
		s = decodeRFC2047(s)
	case Percent:
		s = unescape(s)
	case Base64:
		s = fromBase64(s)
	case Auto:
		s = decodeAuto(s)
	}
	if len(raw) > maxRaw {
		s = strings.TrimRight(s, "\ufffd") // remove what remains of a rune that was cut
	}
	s = ToUTF8(s)
	if e == Auto {
		s = fixMojibake(s)
	}
	return sanitize(s)
}

// decodeAuto decodes encoded words (RFC 2047) or an extended value (RFC 5987). Without
// either, it returns s unchanged.
func decodeAuto(s string) string {
	if strings.Contains(s, "=?") {
		return decodeRFC2047(s)
	}
	if value, ok := decodeRFC5987(strings.Trim(s, " \t\r\n")); ok {
		return value
	}
	return s
}

// fromBase64 decodes base64 in the standard or URL alphabet, with or without padding.
// It returns "" if s is not base64.
func fromBase64(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// unescape decodes percent-encoding. A % that does not start an escape is left
// unchanged, and so is a +, which means a space only in forms.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, ok := escape(s[i:])
		if ok {
			i += 2
		} else {
			c = s[i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escape returns the byte of the percent escape at the beginning of s.
func escape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(n), err == nil
}
