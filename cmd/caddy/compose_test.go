package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestComposeCaddyfiles checks the Caddyfiles of the compose files with the commands for an
// operator. .ci/e2e compose runs them.
func TestComposeCaddyfiles(t *testing.T) {
	const dir = "../../deploy/compose"
	secrets, err := filepath.Abs(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"front", "replica"} {
		text := string(testutil.File(t, filepath.Join(dir, name, "Caddyfile")))
		config := filepath.Join(t.TempDir(), "Caddyfile")
		if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "/run/secrets", secrets)), 0o600); err != nil {
			t.Fatal(err)
		}
		commands := [][]string{{"fmt", "--diff", config}, {"validate", "--config", config}}
		if name == "replica" {
			commands = append(commands, []string{"huma", "check", "--offline", "--config", config})
		}
		for _, args := range commands {
			code, out, log := output(t, caddyCommand(t, nil, args...))
			if code != 0 || strings.Contains(log, `"warn"`) || strings.Contains(log, "WARN") {
				t.Errorf("%s: caddy %s: exit code %d\n%s%s", name, args[0], code, out, log)
			}
		}
	}
}
