package main

import (
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is the timeout of testutil.Eventually in these tests.
const patience = 15 * time.Second

// TestMain makes this test binary run as caddy: testscript.Main puts a directory with a
// copy of it, named caddy, first in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caddy": main})
}
