package caddymodule_test

import (
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	keyserver "github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/filewatch"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/rediscache"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/resilience"
)

// The tests use shorter intervals than a server, because there are many of them.
var (
	pollInterval = filewatch.PollInterval
	maxRound     = filewatch.MaxRound
)

// keysInterval is the minimum time between two fetches of a JWKS.
const keysInterval = 1500 * time.Millisecond

func init() {
	filewatch.PollInterval, filewatch.MaxRound = 100*time.Millisecond, 500*time.Millisecond
	account.PingAfter, account.PingTimeout = 500*time.Millisecond, time.Second
	keyserver.MinInterval = keysInterval
	resilience.FirstWait = 20 * time.Millisecond
	rediscache.PingInterval = 200 * time.Millisecond
}
