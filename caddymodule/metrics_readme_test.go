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
				text += `="` + l.values[0].value + `"`
			}
			labels = append(labels, "`"+text+"`")
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | %s | %s. %s |\n", metricPrefix+m.name, strings.Join(labels, ", "), m.kind, m.help)
	}
	return b.String()
}

// labelsTable tells of the labels' values. A label of several metrics is told
// of where it first stands.
func labelsTable(all []metric) string {
	var b strings.Builder
	b.WriteString("| label | value | |\n|---|---|---|\n")
	told := make(map[string]bool)
	for _, m := range all {
		for _, l := range m.labels {
			id := l.name + l.values[0].value
			if told[id] {
				continue
			}
			told[id] = true
			name := "`" + l.name + "`"
			if l.name == callResultLabel.name { // there are several of that name
				name += " of `" + m.name + "`"
			}
			for _, v := range l.values {
				_, _ = fmt.Fprintf(&b, "| %s | `%s` | %s |\n", name, v.value, v.meaning)
				name = ""
			}
		}
	}
	return b.String()
}
