package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestDocumentedCaddyfiles checks that the Caddyfiles in the documentation can be adapted
// without warnings, and those without a token directive can be loaded.
// TestCheckRoutesOfDocumentation in package caddymodule loads those with one.
func TestDocumentedCaddyfiles(t *testing.T) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	files := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil || more == nil {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		files = slices.Concat(files, more)
	}
	for _, name := range files {
		for _, block := range strings.Split(string(testutil.File(t, name)), "```caddyfile\n")[1:] {
			text, _, _ := strings.Cut(block, "```")
			text = strings.ReplaceAll("\n"+text, "\n  ", "\n")[1:] // one is in a list and indented
			if strings.HasPrefix(text, "(shared)") {
				text += "\nhttp://localhost {\n\thuma_token {\n\t\tcache {\n\t\t\timport shared\n\t\t}\n\t}\n}\n"
			}
			config, warnings, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s: %v %v:\n%s", name, err, warnings, text)
				continue
			}
			if strings.Contains(text, "huma_token") || strings.Contains(text, "human_api_token") {
				continue
			}
			var c caddy.Config
			err = caddy.StrictUnmarshalJSON(config, &c)
			if err == nil {
				err = caddy.Validate(&c)
			}
			if err != nil {
				t.Errorf("%s: %v:\n%s", name, err, text)
			}
		}
	}
}
