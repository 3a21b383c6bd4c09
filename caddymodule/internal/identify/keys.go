package identify

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
)

// keyServers are the public keys of key servers, kept over reloads.
var keyServers = caddy.NewUsagePool() // assertion.Source → *pooledKeys

// pooledKeys are keys in the pool. There is nothing to close.
type pooledKeys struct{ *assertion.Keys }

// Destruct implements caddy.Destructor.
func (pooledKeys) Destruct() error { return nil }

// Keys takes the keys of a key server from the pool. They are fetched
// once this config runs, not while it is only looked at.
func Keys(ctx caddy.Context, r *lifecycle.Cleanups) func(assertion.Source) (*assertion.Keys, error) {
	return func(source assertion.Source) (*assertion.Keys, error) {
		keys, err := lifecycle.FromPool[pooledKeys](r, keyServers, fmt.Sprintf("%t %s", source.ByID, source.URL), func() (caddy.Destructor, error) {
			keys, err := assertion.NewKeys(source, logKeys)
			return pooledKeys{keys}, err
		})
		if err != nil {
			return nil, err
		}
		return keys.Keys, lifecycle.OnStarted(ctx, keys.Prefetch)
	}
}

// logKeys logs that keys could not be fetched, with the logger of the moment:
// they are fetched for whatever config runs.
func logKeys(err error) {
	caddy.Log().Named("huma").Warn("the keys of assertions could not be fetched: known ones are kept", zap.Error(err))
}
