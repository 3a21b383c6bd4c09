package option

import (
	"encoding/json"
	"iter"
	"regexp"

	"github.com/caddyserver/caddy/v2"
)

// fileName matches Caddy's placeholder {file.*}.
var fileName = regexp.MustCompile(`{file\.([^}]+)}`)

// Files returns the paths of the files that a directive's options name: the
// option config_file, and all placeholders {file.*}. Their content may change while the
// config runs.
func Files(options any) (files []string) {
	text, err := json.Marshal(options)
	var all map[string]any
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	if name, ok := all["config_file"].(string); ok {
		files = append(files, caddy.NewReplacer().ReplaceAll(name, ""))
	}
	for text := range stringsIn(all) {
		for _, name := range fileName.FindAllStringSubmatch(text, -1) {
			files = append(files, name[1])
		}
	}
	return files
}

// stringsIn returns an iterator over all strings in a decoded JSON value, without the
// names of object members.
func stringsIn(v any) iter.Seq[string] {
	return func(yield func(string) bool) {
		var within func(v any) bool
		within = func(v any) bool {
			switch v := v.(type) {
			case string:
				return yield(v)
			case map[string]any:
				for _, member := range v {
					if !within(member) {
						return false
					}
				}
			case []any:
				for _, element := range v {
					if !within(element) {
						return false
					}
				}
			}
			return true
		}
		within(v)
	}
}
