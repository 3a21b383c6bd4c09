package cli

import (
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/dryrun"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// errNoLogKey is about names in logs that nobody can tell from outside.
var errNoLogKey = errors.New("the server makes a key of its own at each start, so the name in its logs cannot be told here: set the option hash_key")

// logName is the name that the logs of the directive have for a user, or why it
// cannot be told.
func logName(d *dryrun.Directive, user identity.User, hashKey string) (string, error) {
	key, err := logKey(d, hashKey)
	switch {
	case err != nil:
		return "", err
	case key.IsZero():
		return "", errNoLogKey
	}
	return userhash.ForLogs(key).LogName(user), nil
}

// logKey is what keys those names: the given key, else that of the config; empty
// if it has none.
func logKey(d *dryrun.Directive, hashKey string) (key masked.String, err error) {
	var p option.Errors
	switch {
	case hashKey != "":
		key = p.Secret("--hash-key", hashKey)
	case d.Common.HashKey != "":
		key = p.Secret("hash_key", d.Common.HashKey)
	case d.Common.Cache != nil && d.Common.Cache.StoreRaw != nil:
		return redisLogKey(d.Common.Cache)
	}
	return key, p.Err()
}

// redisLogKey is the key that replicas have in common.
func redisLogKey(c *config.Cache) (masked.String, error) {
	ctx, cancel, err := dryrun.Context()
	if err != nil {
		return masked.String{}, err
	}
	defer cancel()
	store, err := c.LoadStore(ctx)
	if err != nil {
		return masked.String{}, err
	}
	return store.LogKey(), nil
}
