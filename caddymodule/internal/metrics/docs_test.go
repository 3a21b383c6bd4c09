package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// metricsTable returns the table of metrics in Markdown.
func metricsTable(all []metric) string {
	var b strings.Builder
	b.WriteString("| metric | labels | |\n|---|---|---|\n")
	for _, m := range all {
		var labels []string
		for _, l := range m.labels {
			text := l.name
			if len(l.Values) == 1 {
				text += `="` + l.Values[0] + `"`
			}
			labels = append(labels, "`"+text+"`")
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s. %s |\n", prefix+m.name, strings.Join(labels, ", "), m.typ, m.help)
	}
	return b.String()
}

// labelRows returns the first two columns of each row in the table of labels. Each row
// has one value. A label of several metrics is listed once, at its first metric.
func labelRows(all []metric) (rows []string) {
	seen := make(map[string]bool)
	for _, m := range all {
		for _, l := range m.labels {
			id := l.name + l.Values[0]
			if seen[id] {
				continue
			}
			seen[id] = true
			name := "`" + l.name + "`"
			if l.name == callResultLabel.name { // several labels have this name
				name += " of `" + m.name + "`"
			}
			for _, v := range l.Values {
				rows = append(rows, fmt.Sprintf("| %s | `%s` | ", name, v))
				name = ""
			}
		}
	}
	return rows
}

// TestDocs_Metrics checks that docs/metrics.md has the table of metrics.
func TestDocs_Metrics(t *testing.T) { golden.Part(t, docsFile, "metrics", metricsTable(table)) }

const docsFile = "../../../docs/metrics.md"

// TestLabelsAreDocumented checks that docs/metrics.md has exactly one row for each value of each
// label, and the row explains the value.
func TestLabelsAreDocumented(t *testing.T) {
	_, rest, _ := strings.Cut(string(testutil.File(t, docsFile)), "<!-- labels -->\n")
	part, _, _ := strings.Cut(rest, "<!-- end of labels -->\n")
	written := slices.Collect(strings.Lines(part))
	written = written[min(2, len(written)):] // below the head
	rows := labelRows(table)
	for i, row := range rows {
		if i == len(written) {
			t.Fatalf("the table of labels ends before %q", row)
		}
		if meaning, ok := strings.CutPrefix(written[i], row); !ok || meaning == "|\n" {
			t.Fatalf("the table of labels has the row %q, want %q and an explanation", written[i], row)
		}
	}
	if len(written) > len(rows) {
		t.Errorf("the table of labels has too many rows, from %q", written[len(rows)])
	}
}
