package presets

import "strings"

// LogFilter returns the Caddyfile log filter that deletes the users of the preset from
// logs.
func (p Preset) LogFilter() string {
	var b strings.Builder
	b.WriteString("log {\n\tformat filter {\n")
	for _, name := range p.Headers() {
		b.WriteString("\t\trequest>headers>" + name + " delete\n")
	}
	b.WriteString("\t\tuser_id delete\n\t}\n}\n")
	return b.String()
}
