package caddyhuma

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSidecarPage checks that each config in docs/sidecar.md is a part of the file of
// testdata/sidecar that the comment before it names, and that the page links to each file.
func TestSidecarPage(t *testing.T) {
	const dir = "testdata/sidecar"
	page, err := os.ReadFile("docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	excerpts := strings.Split(string(page), "<!-- from ")[1:]
	shown := make(map[string]bool)
	for _, e := range excerpts {
		name, rest, _ := strings.Cut(e, " -->\n```")
		_, rest, _ = strings.Cut(rest, "\n")
		excerpt, _, closed := strings.Cut(rest, "```")
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !closed || !strings.Contains("\n"+string(file), "\n"+excerpt) {
			t.Errorf("%s does not contain this (%v):\n%s", name, err, excerpt)
		}
		shown[name] = true
	}
	files, err := filepath.Glob(dir + "/*.*")
	if err != nil || len(files) < 8 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if name := filepath.Base(file); !shown[name] && !strings.Contains(string(page), "(../"+file+")") {
			t.Errorf("%s is not in the page", name)
		}
	}
	// Each Caddyfile is an excerpt too.
	if blocks := strings.Count(string(page), "\n```caddyfile\n"); blocks != 2 || !shown["Caddyfile"] || !shown["container.Caddyfile"] {
		t.Errorf("%d Caddyfiles", blocks)
	}
}
