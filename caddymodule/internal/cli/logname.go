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

// errNoLogKey is the error if the key of the hash in logs is random per process, so that
// the command cannot compute the name.
var errNoLogKey = errors.New("cannot compute the hash in logs: the server uses a random key; set the option hash_key")

// logName returns the hash that replaces a user's name in the logs of the directive. It
// returns errNoLogKey if there is no configured key.
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

// logKey returns the key of the hash in logs: hashKey if it is not empty, else the key in
// the config. The key is zero if the config has none.
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

// redisLogKey returns the key that all replicas derive from their shared store.
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
