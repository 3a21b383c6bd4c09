package claims

import (
	"encoding/base64"
	"strings"
)

// Decode parses the document in the value of a header: JSON, base64 of JSON (standard
// or URL alphabet, with or without padding), or the payload of a JWT. The JSON may be
// encoded as Latin-1 (see ParseLatin1). Decode does not verify the signature of the JWT:
// the caller must trust the sender of the header.
func Decode(text string) (Document, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		return ParseLatin1([]byte(text))
	}
	if parts := strings.Split(text, "."); len(parts) == 3 {
		text = parts[1]
	}
	b, err := Base64(text)
	if err != nil {
		return Document{}, errNotBase64
	}
	return ParseLatin1(b)
}

// Base64 decodes base64 in the standard or URL alphabet, with or without padding.
func Base64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}
