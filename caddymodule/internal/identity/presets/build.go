package presets

// from returns a source whose value is the text itself.
func from(name string) Source { return Source{From: name} }

// within returns a source whose value is in a document, at the first of paths that
// exists.
func within(name string, paths ...string) Source { return Source{From: name, Paths: paths} }

// afterColon returns s with a prefix before the value that ends with the last colon.
func afterColon(s Source) Source {
	s.After = ":"
	return s
}

// firstOf returns s for a header with several values joined by commas, of which the
// first is read.
func firstOf(s Source) Source {
	s.First = true
	return s
}

// ifSent returns s for a value that the layer sends only if it is configured to.
func ifSent(s Source) Source {
	s.Optional = true
	return s
}

// unstated is the end of the note of layers that never say whether an address is verified.
const unstated = " **Never says whether the email address is verified: make sure that the layer verifies every address.**"

// azure returns a source for a claim in the list that Azure's App Service sends.
func azure(types ...string) Source {
	return Source{From: "X-Ms-Client-Principal", Paths: types, ClaimList: true}
}

// withEntra returns s with further paths for Microsoft Entra ID.
func withEntra(s Source, paths ...string) Source {
	s.EntraPaths = paths
	return s
}

// oidc returns sources for the standard claims (OpenID Connect Core 1.0, section 5.1)
// in the document of a header.
func oidc(name string) Sources {
	return Sources{
		Email:     within(name, "email"),
		UserID:    within(name, "sub"),
		Name:      within(name, "name"),
		FirstName: within(name, "given_name"),
		LastName:  within(name, "family_name"),
	}
}
