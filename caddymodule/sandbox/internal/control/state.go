package control

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox/internal/service"
)

// State holds everything that outlives a request and, in Caddy, a reload of the config.
// Several servers can share a State, also with different configurations.
type State struct {
	Shared   *service.State
	Huma     *huma.State
	HumanAPI *humanapi.State
}

// NewState returns an empty state. now is its clock.
func NewState(now func() time.Time) *State {
	return &State{
		Shared:   &service.State{Now: now, Calls: service.NewCalls(), Faults: service.NewFaults(humanapi.Codes)},
		Huma:     huma.NewState(now),
		HumanAPI: humanapi.NewState(now),
	}
}

// Reset deletes users, calls and faults.
func (s *State) Reset() {
	s.Huma.Reset()
	s.HumanAPI.Reset()
	s.Shared.Faults.Reset()
	s.Shared.Calls.Reset()
}

// Destruct implements caddy.Destructor for caddy.UsagePool. It does nothing.
func (*State) Destruct() error { return nil }
