// Package openapi checks docs/openapi.yaml with the real Caddy binary: it provokes each
// documented response, validates requests and responses against the document, and compares
// the examples in the document with the responses. With -update, it writes the examples.
//
// It is a separate module, so that the validator does not become a dependency of the
// plugin. All servers listen on loopback addresses only, and all users are fictitious.
package openapi

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the examples in docs/openapi.yaml")

// caddyBinary is the path of the Caddy that all tests run.
var caddyBinary string

const buildTimeout = 10 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "openapi")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddyBinary = filepath.Join(dir, "caddy")
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds cmd/caddy with testdata/panic.go as an additional file.
func build(dir string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(root, "cmd", "caddy", "openapi_panic.go"): filepath.Join(root, "testdata", "openapi", "testdata", "panic.go"),
	}})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-o", caddyBinary, "./cmd/caddy")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ./cmd/caddy: %w\n%s", err, out)
	}
	fmt.Printf("built ./cmd/caddy in %v\n", time.Since(start).Round(time.Second))
	return nil
}
