package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is the timeout of testutil.Eventually in these tests.
const patience = 15 * time.Second

// binaryDir is the directory of the binary. It is empty before binary is called.
var binaryDir string

// TestMain makes this test binary run as caddy in the scripts; see TestScript.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"caddy": main})
}

// tests runs the tests and deletes the binary.
type tests struct{ *testing.M }

// Run implements testscript.TestingM.
func (t tests) Run() int {
	defer func() {
		if binaryDir != "" {
			_ = os.RemoveAll(binaryDir)
		}
	}()
	return t.M.Run()
}

// binary builds the real binary on the first call, and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "caddy-huma-"); err != nil {
		return "", err
	}
	path := filepath.Join(binaryDir, "caddy")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})
