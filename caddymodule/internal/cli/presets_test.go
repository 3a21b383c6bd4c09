package cli

import (
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// TestDocs_Presets: the tables of presets in the README are up to date.
func TestDocs_Presets(t *testing.T) {
	golden.Part(t, "../../../README.md", "presets", presetTable(presets.All()))
	golden.Part(t, "../../../README.md", "filters", filterTable(presets.All()))
}
