package presets

import "strings"

// Sources name where a user's particulars come from. An empty one is not read.
type Sources struct {
	Email, UserID, Name, FirstName, LastName, Verified Source
}

// each calls f with every source there is.
func (s Sources) each(f func(Source)) {
	for _, source := range []Source{s.Email, s.UserID, s.Name, s.FirstName, s.LastName, s.Verified} {
		if source.From != "" {
			f(source)
		}
	}
}

// Source is where one particular of a user is read, as it is written.
type Source struct {
	// From is the name of a request header, or one placeholder in braces.
	From string
	// Paths say where the value stands if From holds a document: JSON, base64
	// of it, or a token. The first that is there counts.
	Paths []string
	// ClaimList says that the document is a list of claims, each with typ and
	// val, as Azure's App Service writes it.
	ClaimList bool
	// After is a mark that ends what is put in front of the value; the last
	// one counts.
	After string
	// First says that several values arrive joined by commas, of which the
	// first is read.
	First bool
}

// ParseSource returns the source of an option: a header's name or a placeholder,
// and behind a space the path within the document that it holds.
func ParseSource(text string) Source {
	end := strings.IndexByte(text, ' ')
	if strings.HasPrefix(text, "{") {
		end = strings.Index(text, "} ") + 1
	}
	if end <= 0 {
		return Source{From: text}
	}
	return Source{From: text[:end], Paths: []string{strings.TrimLeft(text[end:], " ")}}
}

// String returns the source as it is written, with every path it has.
func (s Source) String() string {
	if s.Paths == nil {
		return s.From
	}
	return s.From + " " + strings.Join(s.Paths, "|")
}

// IsZero reports whether nothing is written.
func (s Source) IsZero() bool { return s.From == "" && s.Paths == nil }
