package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Store is a store that replicas share. It is a guest module in the
// namespace caddy_huma.stores, provisioned from its part of the config.
type Store interface {
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

// LoadStore loads the store module of the option cache. It returns nil if there
// is none.
func (k *Cache) LoadStore(ctx caddy.Context) (Store, error) {
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
	store, ok := v.(Store)
	if !ok {
		return nil, fmt.Errorf("%T is no store for token directives", v)
	}
	return store, nil
}
