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

// FromList converts a list of claims to one object. Azure's App Service sends such
// lists: {"claims": [{"typ": …, "val": …}]}. A claim that occurs more than once becomes a
// list. A type that is a URI with /claims/ in it is also available under its end, slashes
// included: /claims/emailaddress.
func (d Document) FromList() Document {
	entries, _ := d.Lookup(Path{"claims"}).([]any)
	values := make(map[string][]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		name, _ := entry["typ"].(string)
		if name == "" {
			continue
		}
		values[name] = append(values[name], entry["val"])
		if i := strings.LastIndex(name, "/claims/"); i > 0 {
			values[name[i:]] = append(values[name[i:]], entry["val"])
		}
	}
	members := make(map[string]any, len(values))
	for name, several := range values {
		members[name] = several
		if len(several) == 1 {
			members[name] = several[0]
		}
	}
	return Document{root: members, latin1: d.latin1}
}
