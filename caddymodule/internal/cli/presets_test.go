package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

const docs = "../../../docs/"

// TestDocs_Presets checks the table of presets, and on the page of each preset the generated
// part and, if the page has one, the log filter.
func TestDocs_Presets(t *testing.T) {
	var b strings.Builder
	b.WriteString("| preset | email | user ID | needs |\n|---|---|---|---|\n")
	for _, p := range presets.All() {
		s := sources(p)
		_, _ = fmt.Fprintf(&b, "| [`%[1]s`](identity/%[1]s.md) | %[2]s | %[3]s | %[4]s |\n", p.Name, markdownSources(s.Email), markdownSources(s.UserID), markdownNeeds(requires(p)))
		page := docs + "identity/" + p.Name + ".md"
		golden.Part(t, page, "preset", presetTable(p))
		_, filter, _ := strings.Cut(p.LogFilter(), "log {\n")
		if text := string(testutil.File(t, page)); strings.Contains(text, "format filter {") && !strings.Contains(text, filter) {
			t.Errorf("%s: no log filter with\n%s", page, filter)
		}
	}
	golden.Part(t, docs+"presets.md", "presets", b.String())
}

// sources returns what a preset reads if the document is not signed, or else what it reads
// from the signed one.
func sources(p presets.Preset) presets.Sources {
	if p.Sources.Email.From == "" {
		return p.Signed
	}
	return p.Sources
}

// presetTable returns the Markdown table of one preset.
func presetTable(p presets.Preset) string {
	s := sources(p)
	filter := "none, but `user_id`"
	if p.Provider != nil {
		filter = "none, but `user_id`: Caddy redacts `Authorization`"
	}
	if headers := p.Headers(); headers != nil {
		filter = "`" + strings.Join(headers, "`, `") + "`"
	}
	return "| | |\n|---|---|\n" +
		"| email | " + markdownSources(s.Email) + " |\n" +
		"| names | " + markdownSources(s.Name, s.FirstName, s.LastName) + " |\n" +
		"| user ID | " + markdownSources(s.UserID) + " |\n" +
		"| required options | " + markdownNeeds(requires(p)) + " |\n" +
		"| headers to delete from logs | " + filter + " |\n"
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
	return "`" + strings.NewReplacer(", and ", "`, and `", ", or ", "` or `", ", ", "`, `").Replace(needs) + "`"
}
