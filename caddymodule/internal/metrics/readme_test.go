package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/golden"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// metricsTable tells of the metrics.
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
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s. %s |\n", prefix+m.name, strings.Join(labels, ", "), m.kind, m.help)
	}
	return b.String()
}

// labelRows are the beginnings of the rows of the labels' table, each with one
// value. A label of several metrics is told of where it first stands.
func labelRows(all []metric) (rows []string) {
	told := make(map[string]bool)
	for _, m := range all {
		for _, l := range m.labels {
			id := l.name + l.Values[0]
			if told[id] {
				continue
			}
			told[id] = true
			name := "`" + l.name + "`"
			if l.name == callResultLabel.name { // there are several of that name
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

// TestDocs_Metrics: the README has the table of metrics.
func TestDocs_Metrics(t *testing.T) { golden.Part(t, readmeFile, "metrics", metricsTable(table)) }

const readmeFile = "../../../README.md"

// TestReadmeLabels: the README has a row for each value of a label and no other,
// which says what it means.
func TestReadmeLabels(t *testing.T) {
	_, rest, _ := strings.Cut(string(testutil.File(t, readmeFile)), "<!-- labels -->\n")
	part, _, _ := strings.Cut(rest, "<!-- end of labels -->\n")
	written := strings.SplitAfter(part, "\n")[2:] // below the head
	rows := labelRows(table)
	if len(written)-1 != len(rows) {
		t.Fatalf("the README has %d rows, want %d", len(written)-1, len(rows))
	}
	for i, row := range rows {
		if meaning, ok := strings.CutPrefix(written[i], row); !ok || meaning == "|\n" {
			t.Errorf("the README has the row %q, want %q and what it means", written[i], row)
		}
	}
}
