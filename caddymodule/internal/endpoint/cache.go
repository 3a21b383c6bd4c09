package endpoint

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TokenCache gives access to the cached tokens of an account: in memory, and in the
// store that replicas share. It is comparable: the endpoints of an account that share
// a store have equal values, so it can be the key of a map.
type TokenCache struct {
	Account *account.Account
	Shared  exchange.SharedStore // nil: no shared store
	user    exchange.UserKey     // the user whom Evict evicts; empty: use Flush only
}

// TokenCache returns the cache of all users of the endpoint. Call Flush on it.
func (e *Endpoint) TokenCache() TokenCache {
	return TokenCache{Account: e.Account, Shared: e.current.Load().Policy.Shared}
}

// TokensOf returns the cache of one user of the endpoint. Call Evict on it.
func (e *Endpoint) TokensOf(user identity.User) TokenCache {
	c := e.TokenCache()
	c.user = e.current.Load().hasher.CacheKey(user)
	return c
}

// Flush evicts all users of the account. It flushes the memory cache before the shared
// store, because flushing the store takes long, and once more afterwards, because
// requests may have read tokens from the store in between. The error is the shared
// store's; the memory cache is flushed in any case.
func (c TokenCache) Flush(ctx context.Context) error {
	c.Account.Engine.Flush()
	if c.Shared == nil {
		return nil
	}
	defer c.Account.Engine.Flush()
	return c.Shared.Flush(ctx)
}

// Evict evicts the user of TokensOf at all replicas: tokens and cached refusals. If it
// returns an error, the user is evicted in this process, but the other replicas may
// not have been notified.
func (c TokenCache) Evict(ctx context.Context) error {
	return c.Account.Engine.EvictEverywhere(ctx, c.user, c.Shared, true)
}

// ReleaseHold ends the hold of a user at all replicas, so that the user can be signed
// up again. A hold follows a sign-up whose result is unknown. Without a hold it does
// nothing.
func (e *Endpoint) ReleaseHold(ctx context.Context, user identity.User) error {
	return e.current.Load().tokens.ReleaseHold(ctx, user)
}
