package presets

import "strings"

// Sources holds the source of each value of a user. A zero source is not read.
type Sources struct {
	Email, UserID, Name, FirstName, LastName, Verified Source
}

// each calls f with every source that has a From.
func (s Sources) each(f func(Source)) {
	for _, source := range []Source{s.Email, s.UserID, s.Name, s.FirstName, s.LastName, s.Verified} {
		if source.From != "" {
			f(source)
		}
	}
}

// Source says where one value of a user is read, as the operator or a preset writes it.
type Source struct {
	// From is the name of a request header, or one placeholder in braces.
	From string
	// Paths lead to the value if From holds a document: JSON, base64 of JSON, or a
	// token. The first path with a value is used. nil means that From holds the value
	// itself.
	Paths []string
	// EntraPaths are further paths in a document of Microsoft Entra ID, tried if none of
	// Paths has a value. They lead to logins. One with a # is not an address, but a guest
	// of the tenant (x_mail.example#EXT#@tenant.onmicrosoft.com). With ClaimList, they
	// are tried only if Microsoft Entra ID has authenticated the user (auth_typ aad).
	EntraPaths []string
	// ConfirmedBy, if not empty, is the path of the claim that says whether the owner of
	// the domain of the address at Paths is verified. Without that claim, the address
	// counts only if its domain is in the option domains. If it does not count,
	// EntraPaths are tried.
	ConfirmedBy string
	// ClaimList says that the document is a list of claims with typ and val, as Azure's
	// App Service writes it.
	ClaimList bool
	// After is the separator that ends a prefix before the value. Everything up to its
	// last occurrence is removed. Empty means no prefix.
	After string
	// First says that several values may arrive joined by commas. The first is read.
	First bool
	// Optional says, for Sources.Verified, that the layer sends the value only if it is
	// configured to. Then only an explicit no is a rejection, and a missing or empty
	// value is not. For a source with ConfirmedBy, it says the same of that claim.
	Optional bool
	// Strict says, for Sources.Verified, that only true and "true" mean yes.
	Strict bool
}

// ParseSource parses the argument of an option: the name of a header or a placeholder,
// and, after spaces, the paths within its document. It does not validate them.
func ParseSource(text string) Source {
	end := strings.IndexByte(text, ' ')
	if strings.HasPrefix(text, "{") {
		end = strings.Index(text, "} ") + 1
	}
	if end <= 0 {
		return Source{From: text}
	}
	return Source{From: text[:end], Paths: splitPaths(text[end:])}
}

// splitPaths splits a list of paths at its spaces. A space after a backslash is part of a
// path. The list of an empty text is one empty path, which is not valid.
func splitPaths(text string) (paths []string) {
	start := 0
	add := func(end int) {
		if end > start {
			paths = append(paths, text[start:end])
		}
		start = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ' ':
			add(i)
		}
	}
	add(len(text))
	if paths == nil {
		return []string{""}
	}
	return paths
}

// EscapePath returns a path as ParseSource expects it in a list of paths: with a
// backslash before each space.
func EscapePath(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == ' ':
			b.WriteByte('\\')
		case c == '\\' && i+1 < len(path):
			b.WriteByte(c)
			i++
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// String returns the source as text, as ParseSource parses it.
func (s Source) String() string {
	if s.Paths == nil {
		return s.From
	}
	return s.From + " " + strings.Join(s.Paths, " ")
}

// IsZero reports whether s has neither From nor Paths.
func (s Source) IsZero() bool { return s.From == "" && s.Paths == nil }
