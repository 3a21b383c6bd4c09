package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// TestReadmeCaddyfiles: what the README shows can be copied.
func TestReadmeCaddyfiles(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d Caddyfiles in the README", len(blocks))
	}
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	for _, block := range blocks {
		text := strings.ReplaceAll(block[1], "\n  ", "\n") // one stands in a list
		text = strings.TrimPrefix(text, "  ")
		_, warnings, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if err != nil || len(warnings) > 0 {
			t.Errorf("%v %v:\n%s", err, warnings, text)
		}
	}
}
