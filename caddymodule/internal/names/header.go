package names

import (
	"errors"
	"io"
	"mime"
	"strings"
)

var errCharset = errors.New("unknown character set")

// decodeRFC2047 decodes the encoded words of RFC 2047. The result may be invalid UTF-8,
// because a word may declare UTF-8 and contain Latin-1. It is "" if the character set
// of a word is unknown.
func decodeRFC2047(s string) string {
	decoder := mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		content, err := io.ReadAll(input)
		if err != nil {
			return nil, err
		}
		charset, _, _ = strings.Cut(charset, "*") // a language may follow (RFC 2231, section 5)
		decoded, ok := fromCharset(charset, string(content))
		if !ok {
			return nil, errCharset
		}
		return strings.NewReader(decoded), nil
	}}
	// Encoded words are ASCII, so the text around them can be decoded first.
	decoded, err := decoder.DecodeHeader(ToUTF8(s))
	if err != nil {
		return ""
	}
	return decoded
}

// decodeRFC5987 decodes s if all of it is an ext-value of RFC 5987:
//
//	UTF-8''Ren%C3%A9
//
// Otherwise s is a plain name, and ok is false. The RFC requires more characters to be
// escaped, but layers leave those unescaped that JavaScript's encodeURIComponent does,
// and no name begins like an ext-value.
func decodeRFC5987(s string) (string, bool) {
	charset, rest, _ := strings.Cut(s, "'")
	language, value, ok := strings.Cut(rest, "'")
	if !ok || strings.ContainsFunc(language, isInvalidInLanguageTag) {
		return "", false
	}
	for i := range len(value) {
		c := value[i]
		if c < ' ' || c > '~' {
			return "", false
		}
		if _, ok := escape(value[i:]); c == '%' && !ok {
			return "", false
		}
	}
	return fromCharset(charset, unescape(value))
}

// fromCharset decodes s from the character set that an encoded word or an extended
// value names. UTF-8 is returned without validation. ok is false if the character set
// is unknown.
func fromCharset(charset, s string) (decoded string, ok bool) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8":
		return s, true
	case "us-ascii", "iso-8859-1", "windows-1252", "cp1252":
		return fromLatin1(s), true
	}
	return "", false
}

// isInvalidInLanguageTag reports whether r is invalid in a language tag.
func isInvalidInLanguageTag(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
