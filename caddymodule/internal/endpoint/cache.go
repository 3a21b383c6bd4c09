package endpoint

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TokenCache is where an account keeps tokens: in memory, and in the store that
// replicas share. It is the same value for all endpoints of an account.
type TokenCache struct {
	Account *account.Account
	Shared  exchange.SharedStore // nil: there are no other replicas
	user    exchange.UserKey     // whose tokens; empty: everybody's
}

// TokenCache returns where the endpoint's tokens are.
func (e *Endpoint) TokenCache() TokenCache {
	return TokenCache{Account: e.Account, Shared: e.current.Load().Policy.Shared}
}

// TokensOf returns where the tokens of one user are.
func (e *Endpoint) TokensOf(user identity.User) TokenCache {
	c := e.TokenCache()
	c.user = e.current.Load().hasher.CacheKey(user)
	return c
}

// Flush evicts all users: from memory at once, because the store takes its time, and
// again after that, because until then it may have given something back.
func (c TokenCache) Flush(ctx context.Context) error {
	c.Account.Engine.Flush()
	if c.Shared == nil {
		return nil
	}
	defer c.Account.Engine.Flush()
	return c.Shared.Flush(ctx)
}

// Evict evicts the user of TokensOf, at all replicas. An error says that the others may
// not know.
func (c TokenCache) Evict(ctx context.Context) error {
	return c.Account.Engine.Evict(ctx, c.user, c.Shared, true)
}

// ReleaseHold ends the hold of a user whose last sign-up had an unclear end, at all
// replicas, if there is one.
func (e *Endpoint) ReleaseHold(ctx context.Context, user identity.User) error {
	return e.current.Load().tokens.ReleaseHold(ctx, user)
}
