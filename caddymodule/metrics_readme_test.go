package caddymodule

import (
	"fmt"
	"strings"
)

// metricsTable tells of the metrics.
func metricsTable(all []metric) string {
	var b strings.Builder
	b.WriteString("| metric | labels | |\n|---|---|---|\n")
	for _, m := range all {
		var labels []string
		for _, l := range m.labels {
			text := l.name
			if len(l.values) == 1 {
				text += `="` + l.values[0] + `"`
			}
			labels = append(labels, "`"+text+"`")
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s. %s |\n", metricPrefix+m.name, strings.Join(labels, ", "), m.kind, m.help)
	}
	return b.String()
}

// labelRows are the beginnings of the rows of the labels' table, each with one
// value. A label of several metrics is told of where it first stands.
func labelRows(all []metric) (rows []string) {
	told := make(map[string]bool)
	for _, m := range all {
		for _, l := range m.labels {
			id := l.name + l.values[0]
			if told[id] {
				continue
			}
			told[id] = true
			name := "`" + l.name + "`"
			if l.name == callResultLabel.name { // there are several of that name
				name += " of `" + m.name + "`"
			}
			for _, v := range l.values {
				rows = append(rows, fmt.Sprintf("| %s | `%s` | ", name, v))
				name = ""
			}
		}
	}
	return rows
}
