package caddymodule_test

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
)

// The intervals of a server. The tests, of which there are many, use shorter ones.
var (
	pollInterval = endpoint.PollInterval
	maxRound     = endpoint.MaxRound
)

func init() { endpoint.PollInterval, endpoint.MaxRound = 200*time.Millisecond, 500*time.Millisecond }
