// Package e2e runs the real Caddy binary beside real applications and auth
// servers that know nothing of it. Everything listens on this machine alone,
// and all people are invented.
//
// It is a module of its own, so that none of these becomes a dependency of the
// plugin. It needs Go, Debian's LemonLDAP::NG and Apache with mod_auth_openidc, and
// Chromium with Human API's SDK: .ci/e2e sees to them.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// What the tests run, once built: caddyBinary by all of them, the others by few.
var (
	caddyBinary       string
	pocketbaseBinary  func() (string, error)
	oauth2ProxyBinary func() (string, error)
)

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
	caddyBinary = filepath.Join(dir, "caddy")
	if err := build("../..", "./cmd/caddy", caddyBinary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pocketbaseBinary = sync.OnceValues(func() (string, error) {
		// PocketBase's own main package, as it is released.
		to := filepath.Join(dir, "pocketbase")
		return to, build(".", "github.com/pocketbase/pocketbase/examples/base", to)
	})
	oauth2ProxyBinary = sync.OnceValues(func() (string, error) {
		// It has a module of its own, so that its dependencies and PocketBase's are
		// those of their releases.
		to := filepath.Join(dir, "oauth2-proxy")
		return to, build("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7", to)
	})
	return m.Run()
}

func build(in, of, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, of)
	cmd.Dir = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", of, err, out)
	}
	fmt.Printf("built %s in %v\n", of, time.Since(start).Round(time.Second))
	return nil
}
