package control

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// State is everything that outlives a request, and in Caddy also a reload of
// the configuration. Servers with different configurations can share one.
type State struct {
	Shared   *service.State
	Huma     *huma.State
	HumanAPI *humanapi.State
}

// NewState makes an empty state with a clock.
func NewState(now func() time.Time) *State {
	return &State{
		Shared:   &service.State{Now: now, Calls: service.NewCalls(), Faults: service.NewFaults(humanapi.Codes)},
		Huma:     huma.NewState(now),
		HumanAPI: humanapi.NewState(now),
	}
}

// Reset forgets users, calls and faults.
func (s *State) Reset() {
	s.Huma.Reset()
	s.HumanAPI.Reset()
	s.Shared.Faults.Reset()
	s.Shared.Calls.Reset()
}

// Destruct lets a state live in a caddy.UsagePool. There is nothing to close.
func (*State) Destruct() error { return nil }
