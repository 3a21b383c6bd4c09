package identify

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/assertion"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
)

// keyServers is the pool of the public keys of key servers, which survive reloads.
var keyServers = caddy.NewUsagePool() // assertion.Source as text → pooledKeys

// pooledKeys is a value of keyServers. Its Destruct does nothing.
type pooledKeys struct{ *assertion.Keys }

// Destruct implements caddy.Destructor.
func (pooledKeys) Destruct() error { return nil }

// Keys returns a function that takes the keys of a key server from a pool, and adds their
// release to r. The keys are fetched when the config has started, not while it is
// validated.
func Keys(ctx caddy.Context, r *lifecycle.Cleanups) func(assertion.Source) (*assertion.Keys, error) {
	return func(source assertion.Source) (*assertion.Keys, error) {
		keys, err := lifecycle.FromPool[pooledKeys](r, keyServers, poolKey(source), func() (caddy.Destructor, error) {
			keys, err := assertion.NewKeys(source, keysLog)
			return pooledKeys{keys}, err
		})
		if err != nil {
			return nil, err
		}
		return keys.Keys, lifecycle.OnStarted(ctx, keys.Prefetch)
	}
}

// poolKey returns the key of a source in keyServers. With another content of the file of
// the option ca it is another key, because transportFor returns another transport.
func poolKey(s assertion.Source) string {
	return fmt.Sprintf("%t %q %q %p", s.ByID, s.URL, s.Issuer, s.Transport)
}

// keysLog logs what happens to keys. It uses the current default logger, because the
// pooled keys belong to no particular config.
var keysLog = assertion.Log{
	Discovered: func(jwksURI string) {
		caddy.Log().Named("huma").Debug("fetching the JWKS that the discovery document names", zap.String("jwks_uri", jwksURI))
	},
	FetchFailed: func(err error) {
		caddy.Log().Named("huma").Warn("cannot fetch JWKS; keeping the cached keys", zap.Error(err))
	},
	KeysLeftOut: func(err error) {
		caddy.Log().Named("huma").Warn("some keys of the JWKS cannot be used", zap.Error(err))
	},
}
