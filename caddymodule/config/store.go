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

// Store is a token store that replicas share. It is a guest module in the
// namespace caddy_huma.stores and must be provisioned before use.
type Store interface {
	// Join adds memory, the in-memory cache of an account, as a member. The
	// store then evicts from memory what other replicas evict. account names
	// the account whose tokens are shared, service the service whose sign-ups
	// are shared; both must be the same in all replicas. unreadable is called
	// for each value that cannot be decrypted. The caller must call leave when
	// it no longer uses the member.
	Join(account, service string, memory exchange.Invalidator, unreadable func()) (m exchange.Member, leave func(), err error)

	// Try connects once, writes and reads as replicas do, and returns an error
	// if the store cannot be used.
	Try(ctx context.Context) error

	// PoolKey identifies the store: stores with equal keys are the same.
	PoolKey() string

	// LogKey returns the key of the hash that replaces a user's name in logs.
	LogKey() masked.String
}

// redisStore is the module ID of the Redis store, which the Caddyfile option redis
// configures.
const redisStore = "caddy_huma.stores.redis"

// errNoRedisModule tells the operator how to build Caddy with the store module
// redis.
var errNoRedisModule = errors.New("requires the module " + redisStore +
	"; build Caddy with: xcaddy build --with github.com/caddy-huma/caddy-huma --with github.com/caddy-huma/caddy-huma/caddymodule/redis")

// LoadStore loads the store module of the option cache. It returns nil if the
// config has no store or k is nil. It may be called more than once.
func (k *Cache) LoadStore(ctx caddy.Context) (Store, error) {
	if k == nil || k.StoreRaw == nil {
		return nil, nil
	}
	raw := k.StoreRaw
	defer func() { k.StoreRaw = raw }() // LoadModule sets StoreRaw to nil, and the commands load the store twice
	v, err := ctx.LoadModule(k, "StoreRaw")
	if err != nil {
		var name struct{ Module string }
		if _, known := caddy.GetModule(redisStore); known != nil && json.Unmarshal(raw, &name) == nil && name.Module == "redis" {
			err = fmt.Errorf("%w (%w)", errNoRedisModule, err)
		}
		return nil, err
	}
	store, ok := v.(Store)
	if !ok {
		return nil, fmt.Errorf("module %T is not a token store: it does not implement config.Store", v)
	}
	return store, nil
}
