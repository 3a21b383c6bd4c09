// Package names makes text for display of people's names, however the layer
// that sends them writes them.
package names

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Encoding is how a layer writes names.
type Encoding uint8

// Auto recognises what layers do without being asked to: RFC 2047 and RFC
// 5987, UTF-8, Latin-1, and UTF-8 that was encoded twice. Percent and base64
// are never guessed: "100%25 Bob" and "Anna" may be names as they are.
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

// maxRaw is how many bytes of a name are looked at.
const maxRaw = 4096

// Decode returns raw as text for display: decoded, without control
// characters, trimmed. A name that cannot be read is no name.
func (e Encoding) Decode(raw string) string {
	s := cut(raw, maxRaw)
	whole := len(s) == len(raw)
	switch e {
	case RFC2047:
		s = words(s)
	case Percent:
		s = unescape(s)
	case Base64:
		s = fromBase64(s)
	case Auto:
		s = unwrap(s)
	}
	if !whole {
		s = withoutPartial(s)
	}
	switch e {
	case Auto:
		s = undouble(text(s), 2)
	case UTF8:
		if !utf8.ValidString(s) {
			return ""
		}
	case Latin1:
		s = fromLatin1(s)
	default:
		s = text(s)
	}
	return clean(s)
}

// unwrap decodes encoded words or an extended value. Without either it
// returns s as it is.
func unwrap(s string) string {
	if strings.Contains(s, "=?") {
		return words(s)
	}
	if value, ok := extended(strings.Trim(s, " \t\r\n")); ok {
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
		if s[i] == '%' && escaped(s[i:]) {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// escaped reports whether s, which begins with %, begins with an escape.
func escaped(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}
