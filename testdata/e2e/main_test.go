// Package e2e runs the real Caddy binary beside real applications and auth
// servers that know nothing of it. Everything listens on this machine alone,
// and all people are invented.
//
// It is a module of its own, so that none of these becomes a dependency of the
// plugin. It needs Go, and Debian's LemonLDAP::NG: .ci/e2e sees to both.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// What the tests run, once built.
var caddyBinary, pocketbaseBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddyBinary, pocketbaseBinary = filepath.Join(dir, "caddy"), filepath.Join(dir, "pocketbase")
	for _, b := range []struct{ in, of, to string }{
		{"../..", "./cmd/caddy", caddyBinary},
		// PocketBase's own main package, as it is released.
		{".", "github.com/pocketbase/pocketbase/examples/base", pocketbaseBinary},
	} {
		start := time.Now()
		if err := build(b.in, b.of, b.to); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Printf("built %s in %v\n", b.of, time.Since(start).Round(time.Second))
	}
	return m.Run()
}

func build(in, of, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, of)
	cmd.Dir = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", of, err, out)
	}
	return nil
}
