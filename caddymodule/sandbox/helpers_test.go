package sandbox

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a sandbox and returns it with a client.
func start(t *testing.T, cfg Config) (*Server, *sandboxtest.Client) {
	t.Helper()
	fake := New(cfg)
	return fake, sandboxtest.Serve(t, fake)
}

// setFaults calls SetFaults and fails the test on an error.
func setFaults(t *testing.T, fake *Server, faults ...Fault) {
	t.Helper()
	if err := fake.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}
