package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
)

// sharedStore is a store that replicas share. It is a guest module in the
// namespace caddy_huma.stores, provisioned from its part of the config.
type sharedStore interface {
	// Join makes memory, that of an account, a member: it is told what other
	// replicas evict. account and service name those whose tokens and sign-ups
	// are shared, the same in all replicas. unreadable is called for each value
	// that cannot be opened. leave has to be called when the member is not used
	// any more.
	Join(account, service string, memory exchange.Forgetter, unreadable func()) (m exchange.Member, leave func(), err error)

	// Try connects once, writes and reads as replicas do, and returns why the
	// store cannot be used, if so.
	Try(ctx context.Context) error

	// PoolKey tells stores apart.
	PoolKey() string

	// LogKey keys the hash by which logs name a user.
	LogKey() masked.String
}

// redisStore is the ID of the store module redis, which the Caddyfile option of
// that name stands for.
const redisStore = "caddy_huma.stores.redis"

// errNoRedisModule says how to get a binary with the store module redis.
var errNoRedisModule = errors.New("needs the module " + redisStore +
	": xcaddy build --with github.com/caddy-huma/caddy-huma --with github.com/caddy-huma/caddy-huma/caddymodule/redis")

// loadStore loads the store module of the option cache. It returns nil if there
// is none.
func (k *Cache) loadStore(ctx caddy.Context) (sharedStore, error) {
	if k == nil || k.StoreRaw == nil {
		return nil, nil
	}
	raw := k.StoreRaw
	defer func() { k.StoreRaw = raw }() // loading a module drops its config, which the commands load twice
	v, err := ctx.LoadModule(k, "StoreRaw")
	if err != nil {
		var name struct{ Module string }
		if _, known := caddy.GetModule(redisStore); known != nil && json.Unmarshal(raw, &name) == nil && name.Module == "redis" {
			err = fmt.Errorf("the store %w (%w)", errNoRedisModule, err)
		}
		return nil, err
	}
	store, ok := v.(sharedStore)
	if !ok {
		return nil, fmt.Errorf("%T is no store for token directives", v)
	}
	return store, nil
}

// loadStore loads the store that replicas share, if there is one.
func (e *endpoint) loadStore(ctx caddy.Context, p *option.Problems) {
	k := e.common.Cache
	if k != nil && k.StoreRaw != nil && k.Disabled {
		p.Addf("redis", "it stands beside `cache off`: leave one of them out")
		return
	}
	store, err := k.loadStore(ctx)
	if err != nil {
		p.Add("redis", err)
		return
	}
	e.store = store
}

// rootKey keys the hashes that name users in caches. Without replicas it is this
// process's own. With them it is the same in all, and not made of the keys that
// seal the store's values: those are changed one replica after the other.
func (e *endpoint) rootKey(secret masked.String) []byte {
	switch {
	case e.store == nil:
		return processKey
	case secret.IsZero():
		return derive([]byte(e.store.LogKey().Reveal()), "store")
	}
	return derive([]byte(secret.Reveal()), "store")
}

// replicasOf is what an exchange needs to leave its sign-up to another replica;
// nil if there are no others. user names the user in sign-ups.
func (q *request) replicasOf(user exchange.UserKey) *exchange.Replicas {
	c := q.creds
	if c.locks == nil {
		return nil
	}
	tokens, kind := c.users.key(q.user), q.kind
	stored := func(ctx context.Context) *exchange.Grant {
		return q.endpoint.account.engine.Stored(ctx, tokens, kind, &c.policy)
	}
	if q.fresh() { // what is stored may be what the caller wants no more
		stored = func(context.Context) *exchange.Grant { return nil }
	}
	return &exchange.Replicas{Locks: c.locks, User: user, Timeout: c.policy.Timeout, Stored: stored}
}
