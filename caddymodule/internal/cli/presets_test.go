package cli

import (
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/golden"
)

// TestDocs_Presets: the README has the tables of presets.
func TestDocs_Presets(t *testing.T) {
	golden.Part(t, "../../../README.md", "presets", presetTable(identity.Presets()))
	golden.Part(t, "../../../README.md", "filters", filterTable(identity.Presets()))
}
