package redis

import (
	"context"
	"sync"

	"github.com/caddyserver/caddy/v2"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/rediscache"
)

// connections holds the Redis connections, which survive config reloads.
var connections = caddy.NewUsagePool() // Redis.key → connection

// connection is a Redis connection in the pool, shared by all stores with the same
// options.
type connection struct{ *rediscache.Store }

// Join implements config.Store. All stores with the same options share one connection.
// unreadable is called for each value that cannot be decrypted; only the function of the
// first member of a connection is used, so all members must pass the same one. When the
// last member leaves, the connection is closed and its running operations are canceled.
func (r *Redis) Join(account, service string, memory exchange.Invalidator, unreadable func()) (m exchange.Member, leave func(), err error) {
	v, _, err := connections.LoadOrNew(r.key, func() (caddy.Destructor, error) {
		redirectLogger()
		config := r.config
		config.OnState = logState
		config.OnUnreadable = func() { logUnreadable(); unreadable() }
		store, err := rediscache.New(config)
		return connection{store}, err
	})
	if err != nil {
		return m, nil, err
	}
	m, end := v.(connection).Join(account, service, memory)
	return m, func() {
		end()
		_, _ = connections.Delete(r.key)
	}, nil
}

// Destruct implements caddy.Destructor. It closes the connection in the background, so
// that a reload does not wait for running operations.
func (c connection) Destruct() error {
	go c.Close()
	return nil
}

// logState logs that Redis became available or unavailable. It uses Caddy's current
// logger, because the config that opened the connection, and its logger, may be gone.
func logState(up bool, err error) {
	log := caddy.Log().Named("huma.redis")
	if up {
		log.Info("connected to the shared store; replicas share tokens")
		return
	}
	log.Warn("shared store unavailable; this replica works alone", zap.Error(err))
}

func logUnreadable() {
	caddy.Log().Named("huma.redis").Debug("cannot decrypt a value in the shared store; treating it as a cache miss")
}

// redirectLogger replaces the logger of the Redis client, which is global in the process and
// writes to standard error. The store logs the same events itself. Values are omitted,
// because a server may repeat a password.
var redirectLogger = sync.OnceFunc(func() { goredis.SetLogger(clientLogger{}) })

type clientLogger struct{}

// Printf logs the format of a message, without its values.
func (clientLogger) Printf(_ context.Context, format string, _ ...any) {
	caddy.Log().Named("huma.redis").Debug("message of the Redis client", zap.String("format", format))
}

// Try implements config.Store. It uses a connection of its own, and is not a member of
// any account. Call it after Provision.
func (r *Redis) Try(ctx context.Context) error {
	store, err := rediscache.New(r.config)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Try(ctx)
}
