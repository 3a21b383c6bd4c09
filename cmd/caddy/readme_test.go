package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// TestReadmeCaddyfiles: what the README and the pages beside it show can be copied.
func TestReadmeCaddyfiles(t *testing.T) {
	for name, blocks := range map[string]int{"README.md": 5, "docs/redis.md": 2} {
		t.Run(name, func(t *testing.T) { adaptBlocks(t, "../../"+name, blocks) })
	}
}

// adaptBlocks adapts the Caddyfiles of a page, which has at least so many.
func adaptBlocks(t *testing.T, name string, atLeast int) {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < atLeast {
		t.Fatalf("%d Caddyfiles", len(blocks))
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
