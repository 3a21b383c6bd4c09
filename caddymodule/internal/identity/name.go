package identity

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

const (
	maxName    = 200  // bytes of a first or last name
	maxRawName = 4096 // bytes of a name that are looked at
)

// Names returns the user's first and last name, for display. Either may be
// empty, and nothing about them ever rejects a request. They are believed
// under the same rules as the address.
//
// Names are needed for a registration only, so Identify leaves them alone.
func (i *Identifier) Names(r *Request) (first, last masked.String) {
	firstName := limitName(i.readName(r, i.firstName))
	lastName := limitName(i.readName(r, i.lastName))
	if firstName == "" || lastName == "" {
		f, l := splitName(i.readName(r, i.name))
		// "Miller" beside the last name Miller is not a first name as well.
		single := l == ""
		if firstName == "" && !(single && lastName != "") {
			firstName = limitName(f)
		}
		if lastName == "" {
			lastName = limitName(l)
		}
	}
	return masked.New(firstName), masked.New(lastName)
}

// readName returns what a source gives as a name, fit for display but of any
// length, or nothing.
func (i *Identifier) readName(r *Request, s source) string {
	if s.kind == kindNone {
		return ""
	}
	raw, rejection := i.text(r, s)
	if rejection != nil {
		return ""
	}
	return cleanName(raw)
}

// cleanName returns raw as text for display: decoded, without control
// characters, trimmed. A name that cannot be read is no name.
func cleanName(raw string) string {
	// An encoded word stands in ASCII, so what is around it can be made valid
	// first; decoded, it may turn out to hold Latin-1 in its turn.
	s := fromLatin1(cut(raw, maxRawName))
	if strings.Contains(s, "=?") {
		decoded, err := new(mime.WordDecoder).DecodeHeader(s)
		if err != nil { // a character set that is not known
			return ""
		}
		s = fromLatin1(decoded)
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// fromLatin1 returns s if it is valid UTF-8, else s read as Latin-1.
func fromLatin1(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(2 * len(s))
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// splitName splits a clean name at its last space. A single name is a first
// name.
func splitName(name string) (first, last string) {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return name, ""
	}
	return strings.TrimSpace(name[:i]), name[i+1:]
}

// limitName cuts a clean name to the length of one that is passed on.
func limitName(name string) string { return strings.TrimSpace(cut(name, maxName)) }

// cut returns at most limit bytes of s, without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	// In text that is not UTF-8 no start of a character may be near.
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:limit]
}
