package main

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// TestReadmeCaddyfiles checks that the Caddyfiles in the documentation are valid.
func TestReadmeCaddyfiles(t *testing.T) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	for _, name := range []string{"README.md", "docs/redis.md"} {
		page, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(page), "```caddyfile\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no Caddyfile", name)
		}
		for _, block := range blocks {
			text, _, _ := strings.Cut(block, "```")
			text = strings.ReplaceAll("\n"+text, "\n  ", "\n")[1:] // one is in a list and indented
			if strings.HasPrefix(text, "(shared)") {
				text += "\nhttp://localhost {\n\thuma_token {\n\t\tcache {\n\t\t\timport shared\n\t\t}\n\t}\n}\n"
			}
			_, warnings, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s: %v %v:\n%s", name, err, warnings, text)
			}
		}
	}
}
