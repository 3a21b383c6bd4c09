package redis

import (
	"context"
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/rediscache"
)

// errNoAnswer is a Redis of which nothing was known when the time was over.
var errNoAnswer = errors.New("redis: no answer in time")

// Try connects once, writes and reads as replicas do, and returns why the store
// cannot be used, if so. It takes part in nothing that replicas share. Redis has
// to be provisioned.
func (r *Redis) Try(ctx context.Context) error {
	known := make(chan error, 1)
	config := r.config
	config.OnState = func(up bool, err error) {
		if up {
			err = nil
		}
		select {
		case known <- err:
		default: // only the first state counts
		}
	}
	store, err := rediscache.New(config)
	if err != nil {
		return err
	}
	defer store.Close()
	store.Connect()
	select {
	case err := <-known:
		return err
	case <-ctx.Done():
		return errNoAnswer
	}
}
