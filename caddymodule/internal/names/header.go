package names

import (
	"errors"
	"io"
	"mime"
	"strings"
)

var errCharset = errors.New("a character set that is not known")

// words decodes the encoded words of RFC 2047. One in a character set that is
// not known makes the name unreadable.
func words(s string) string {
	// An encoded word stands in ASCII, so what is around it can be made valid
	// first.
	decoder := mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		content, err := io.ReadAll(input)
		if err != nil {
			return nil, err
		}
		// RFC 2231 lets a language follow.
		charset, _, _ = strings.Cut(charset, "*")
		decoded, ok := fromCharset(charset, string(content))
		if !ok {
			return nil, errCharset
		}
		return strings.NewReader(decoded), nil
	}}
	decoded, err := decoder.DecodeHeader(text(s))
	if err != nil {
		return ""
	}
	// A word may say UTF-8 and hold Latin-1. That says nothing about others.
	return repair(decoded)
}

// extended decodes s if the whole of it is an ext-value of RFC 5987:
//
//	UTF-8''Ren%C3%A9
//
// What is wrong in any way is a name as it stands. The RFC wants more than the
// escapes encoded, but layers leave what JavaScript's encodeURIComponent
// leaves, and no name begins like this.
func extended(s string) (string, bool) {
	charset, rest, _ := strings.Cut(s, "'")
	language, value, ok := strings.Cut(rest, "'")
	if !ok || strings.ContainsFunc(language, notOfLanguage) {
		return "", false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '%' && !escaped(value[i:]) {
			return "", false
		}
	}
	return fromCharset(charset, unescape(value))
}

// notOfLanguage reports whether r cannot stand in a language's tag.
func notOfLanguage(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
