package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// The output of the command and the tables in the documentation are generated from the
// same presets that identify requests.

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

// describe returns a source as it is shown in the documentation.
func describe(s presets.Source) string {
	if s.Paths == nil {
		return s.From
	}
	return strings.Join(slices.Concat(s.Paths, s.EntraPaths), " or ") + " in " + s.From
}

// requires returns the options that the preset requires in addition.
func requires(p presets.Preset) string {
	switch {
	case p.Provider != nil:
		return strings.Join(p.Needs(), ", ")
	case p.Sources.Email.From == "":
		return "verify"
	case p.Signed.Email.From != "":
		return "trust, or verify"
	case p.NeedsTrust():
		return "trust"
	}
	return "nothing"
}

// presetTable returns the Markdown table of presets in the documentation.
func presetTable(rows []presets.Preset) string {
	var b strings.Builder
	b.WriteString("| `identity` | email | names | user ID | needs | note |\n|---|---|---|---|---|---|\n")
	for _, p := range rows {
		s := p.Sources
		if s.Email.From == "" {
			s = p.Signed
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", p.Name, markdownSources(s.Email), markdownSources(s.Name, s.FirstName, s.LastName), markdownSources(s.UserID), markdownNeeds(requires(p)), p.Note)
	}
	return b.String()
}

// markdownSources returns a list of sources in Markdown. For consecutive sources in the
// same document, it names the document once, after the last of them.
func markdownSources(sources ...presets.Source) string {
	var texts []string
	for n, s := range sources {
		switch {
		case s.From == "":
		case s.Paths == nil:
			texts = append(texts, "`"+s.From+"`")
		default:
			text := "`" + strings.Join(slices.Concat(s.Paths, s.EntraPaths), "` or `") + "`"
			if n == len(sources)-1 || sources[n+1].From != s.From {
				text += " in `" + s.From + "`"
			}
			texts = append(texts, text)
		}
	}
	if texts == nil {
		return "–"
	}
	return strings.Join(texts, ", ")
}

// markdownNeeds returns the result of requires in Markdown.
func markdownNeeds(needs string) string {
	if needs == "nothing" {
		return "–"
	}
	return "`" + strings.NewReplacer(", or ", "` or `", ", ", "`, `").Replace(needs) + "`"
}

// filterTable returns the Markdown table of the request headers that name the users of
// each preset in Caddy's logs.
func filterTable(rows []presets.Preset) string {
	var b strings.Builder
	b.WriteString("| preset | delete `request>headers>…` |\n|---|---|\n")
	for _, p := range rows {
		names := "none; `user_id`"
		if p.Provider != nil {
			names = "none: Caddy itself redacts `Authorization`; `user_id`"
		}
		if headers := p.Headers(); headers != nil {
			names = "`" + strings.Join(headers, "`, `") + "`"
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | %s |\n", p.Name, names)
	}
	return b.String()
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
