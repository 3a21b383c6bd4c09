// Package names decodes the names of people, in whichever encoding the
// authentication layer sends them, to text for display.
package names

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Encoding is how a layer writes names.
type Encoding uint8

// Auto recognizes RFC 2047, RFC 5987, UTF-8, Latin-1, and UTF-8 that was encoded
// twice. It never guesses percent-encoding and base64: "100%25 Bob" and "Anna"
// may be names as they are.
const (
	Auto Encoding = iota
	UTF8
	Latin1
	RFC2047
	Percent
	Base64
)

// ParseEncoding returns the encoding of that name. Without one it is Auto.
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

// maxRaw is how many bytes of a name are decoded.
const maxRaw = 4096

// Decode returns raw as text for display: decoded, without control characters,
// trimmed. It returns "" if raw cannot be decoded.
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
		s = unwrap(s)
	}
	if len(raw) > maxRaw {
		s = strings.TrimRight(s, "\ufffd") // bytes of the rune that was cut
	}
	s = text(s)
	if e == Auto {
		s = fixMojibake(s)
	}
	return sanitize(s)
}

// unwrap decodes encoded words or an extended value. Without either it
// returns s as it is.
func unwrap(s string) string {
	if strings.Contains(s, "=?") {
		return decodeRFC2047(s)
	}
	if value, ok := decodeRFC5987(strings.Trim(s, " \t\r\n")); ok {
		return value
	}
	return s
}

// fromBase64 decodes either alphabet, with or without padding.
func fromBase64(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// unescape decodes percent-encoding. A % that starts no escape stays, and so
// does a +, which stands for a space in forms only.
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

// escape returns the byte that the percent escape at the beginning of s stands
// for.
func escape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(n), err == nil
}
