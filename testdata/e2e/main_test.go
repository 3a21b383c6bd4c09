// Package e2e runs the real Caddy binary with real applications and auth servers. All of
// them listen on loopback addresses only, and all users are fictitious.
//
// It is a separate module, so that the applications do not become dependencies of the
// plugin. It needs Go, Debian's LemonLDAP::NG, Apache with mod_auth_openidc, nginx, HAProxy,
// and Chromium with Human API's SDK; .ci/e2e installs them.
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

// The following are the paths of the binaries. All tests use caddyBinary.
var (
	caddyBinary       string
	pocketbaseBinary  func() (string, error)
	oauth2ProxyBinary func() (string, error)
	dexBinary         func() (string, error)
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
		// This is the main package of PocketBase's releases.
		to := filepath.Join(dir, "pocketbase")
		return to, build(".", "github.com/pocketbase/pocketbase/examples/base", to)
	})
	oauth2ProxyBinary = sync.OnceValues(func() (string, error) {
		// oauth2-proxy is in a separate module, so that both have the dependencies of
		// their releases.
		to := filepath.Join(dir, "oauth2-proxy")
		return to, build("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7", to)
	})
	dexBinary = sync.OnceValues(func() (string, error) {
		// Without cgo, it has no SQLite, which takes long to compile.
		to := filepath.Join(dir, "dex")
		return to, build("dex", "github.com/dexidp/dex/cmd/dex", to, "CGO_ENABLED=0")
	})
	return m.Run()
}

func build(in, of, to string, env ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, of)
	cmd.Dir, cmd.Env = in, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", of, err, out)
	}
	fmt.Printf("built %s in %v\n", of, time.Since(start).Round(time.Second))
	return nil
}
