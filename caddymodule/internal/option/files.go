package option

import (
	"bytes"
	"encoding/json"
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
	var all struct {
		ConfigFile string `json:"config_file"`
	}
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	if all.ConfigFile != "" {
		files = append(files, caddy.NewReplacer().ReplaceAll(all.ConfigFile, ""))
	}
	values := json.NewDecoder(bytes.NewReader(text))
	for {
		value, err := values.Token()
		if err != nil {
			return files // at the end
		}
		if text, ok := value.(string); ok {
			for _, name := range fileName.FindAllStringSubmatch(text, -1) {
				files = append(files, name[1])
			}
		}
	}
}
