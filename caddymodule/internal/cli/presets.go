package cli

import (
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// The output of the command and the tables in the documentation (presets_test.go) are
// generated from the same presets that identify requests.

// field is one identity option and its source.
type field struct {
	option string
	source presets.Source
}

// fields returns the options that have a source.
func fields(s presets.Sources) (all []field) {
	for _, p := range []field{
		{"email", s.Email}, {"user_id", s.UserID}, {"name", s.Name},
		{"first_name", s.FirstName}, {"last_name", s.LastName}, {"verified", s.Verified},
	} {
		if p.source.From != "" {
			all = append(all, p)
		}
	}
	return all
}

// issuerOf returns the issuer of a preset, with its parameter in braces.
func issuerOf(p presets.Preset) string {
	if p.Provider != nil {
		return p.Provider.Parameters[0].Issuer
	}
	return p.Verify.Issuer
}

// describe returns a source as it is shown to people.
func describe(s presets.Source) string {
	if s.Paths == nil {
		return s.From
	}
	return strings.Join(slices.Concat(s.Paths, s.EntraPaths), " or ") + " in " + s.From
}

// requires returns the options that the preset requires in addition. Of those of a preset
// of an authentication layer, one is enough.
func requires(p presets.Preset) string {
	var needs []string
	switch {
	case p.Provider != nil:
		for _, alternatives := range p.Needs() {
			needs = append(needs, oneOf(alternatives))
		}
		return strings.Join(needs, ", and ")
	case p.Sources.Email.From != "" && !p.NeedsTrust():
		return "nothing"
	}
	if p.AuthPath != "" {
		needs = append(needs, "auth_server")
	}
	if p.Sources.Email.From != "" {
		needs = append(needs, "trust")
	}
	if p.Signed.Email.From != "" {
		needs = append(needs, "verify")
	}
	return oneOf(needs)
}

// oneOf returns names as a list of alternatives.
func oneOf(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + ", or " + names[last]
}

// presetDocument is the JSON output for a preset.
type presetDocument struct {
	Name       string            `json:"name"`
	Needs      string            `json:"needs"`
	Sources    map[string]string `json:"sources,omitempty"`
	Signed     map[string]string `json:"signed,omitempty"`
	JWKS       string            `json:"jwks,omitempty"`
	Issuer     string            `json:"issuer,omitempty"`
	Algorithms []string          `json:"algorithms,omitempty"`
	Headers    []string          `json:"headers,omitempty"`
	Note       string            `json:"note"`
}

func presetDocuments(rows []presets.Preset) []presetDocument {
	texts := func(s presets.Sources) map[string]string {
		m := make(map[string]string)
		for _, p := range fields(s) {
			m[p.option] = p.source.String()
		}
		return m
	}
	var all []presetDocument
	for _, p := range rows {
		all = append(all, presetDocument{
			Name: p.Name, Needs: requires(p), Sources: texts(p.Sources), Signed: texts(p.Signed),
			JWKS: p.Verify.JWKS, Issuer: issuerOf(p), Algorithms: p.Verify.Algorithms,
			Headers: p.Headers(), Note: p.Note,
		})
	}
	return all
}
