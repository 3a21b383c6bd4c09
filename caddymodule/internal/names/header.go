package names

import (
	"errors"
	"io"
	"mime"
	"strings"
)

var errCharset = errors.New("unknown character set")

// decodeRFC2047 decodes the encoded words of RFC 2047. The result may be invalid UTF-8:
// a word may say UTF-8 and hold Latin-1. It is "" if a word is in an unknown
// character set.
func decodeRFC2047(s string) string {
	decoder := mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		content, err := io.ReadAll(input)
		if err != nil {
			return nil, err
		}
		charset, _, _ = strings.Cut(charset, "*") // a language may follow: RFC 2231, section 5
		decoded, ok := fromCharset(charset, string(content))
		if !ok {
			return nil, errCharset
		}
		return strings.NewReader(decoded), nil
	}}
	// An encoded word is ASCII, so what stands around it can be read first.
	decoded, err := decoder.DecodeHeader(text(s))
	if err != nil {
		return ""
	}
	return decoded
}

// decodeRFC5987 decodes s if the whole of it is an ext-value of RFC 5987:
//
//	UTF-8''Ren%C3%A9
//
// What is wrong in any way is a name as it stands. The RFC wants more than the
// escapes encoded, but layers leave what JavaScript's encodeURIComponent
// leaves, and no name begins like this.
func decodeRFC5987(s string) (string, bool) {
	charset, rest, _ := strings.Cut(s, "'")
	language, value, ok := strings.Cut(rest, "'")
	if !ok || strings.ContainsFunc(language, notOfLanguage) {
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

// fromCharset decodes s from a character set that an encoded word or an
// extended value names. From UTF-8 it may still be invalid.
func fromCharset(charset, s string) (decoded string, ok bool) {
	switch strings.ToLower(charset) {
	case "utf-8", "utf8":
		return s, true
	case "us-ascii", "iso-8859-1", "windows-1252", "cp1252":
		return fromLatin1(s), true
	}
	return "", false
}

// notOfLanguage reports whether r cannot stand in a language's tag.
func notOfLanguage(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
