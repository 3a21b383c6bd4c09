package huma

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/sandboxtest"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is the API of Huma without the control API.
type fake struct {
	*State
	http.Handler
	calls     *service.Calls
	signature config.Signature
}

// start serves the API and returns it with a client.
func start(t *testing.T, cfg config.Config) (*fake, *sandboxtest.Client) {
	t.Helper()
	return startAt(t, cfg, time.Now)
}

// startAt is like start, with a clock.
func startAt(t *testing.T, cfg config.Config, now func() time.Time) (*fake, *sandboxtest.Client) {
	t.Helper()
	cfg, err := config.Complete(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shared := &service.State{Now: now, Calls: service.NewCalls(), Faults: service.NewFaults(service.Codes{})}
	state := NewState(now)
	api := New(cfg, state, shared)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.Serve(w, r, r.URL.Path, r.RequestURI) {
			http.NotFound(w, r)
		}
	})
	return &fake{state, h, shared.Calls, cfg.Signature}, sandboxtest.Serve(t, h)
}
