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

// connections are kept over reloads.
var connections = caddy.NewUsagePool() // Redis.key → connection

// connection is one Redis.
type connection struct{ *rediscache.Store }

// Join is Join of the connection that all have who are configured alike. unreadable is
// called for each value that cannot be opened; it has to be the same for all who join.
// The last one who leaves ends what is under way.
func (r *Redis) Join(account, service string, memory exchange.Forgetter, unreadable func()) (m exchange.Member, leave func(), err error) {
	v, _, err := connections.LoadOrNew(r.key, func() (caddy.Destructor, error) {
		tameLogger()
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

// Destruct implements caddy.Destructor. A reload must not wait for what is
// under way.
func (c connection) Destruct() error {
	go c.Close()
	return nil
}

// logState logs with the logger of the moment: the one of the config that made
// the connection may be gone.
func logState(up bool, err error) {
	log := caddy.Log().Named("huma.redis")
	if up {
		log.Info("the shared store is there: replicas share tokens")
		return
	}
	log.Warn("the shared store cannot be used: this replica works for itself", zap.Error(err))
}

func logUnreadable() {
	caddy.Log().Named("huma.redis").Debug("a value in the shared store cannot be opened: it is taken for a miss")
}

// tameLogger takes over the logger of the Redis client, which is the process's and
// writes to standard error. What it says is in our own messages, too; values are left
// out, because a server may repeat a password.
var tameLogger = sync.OnceFunc(func() { goredis.SetLogger(clientLogger{}) })

type clientLogger struct{}

// Printf logs the kind of message.
func (clientLogger) Printf(_ context.Context, format string, _ ...any) {
	caddy.Log().Named("huma.redis").Debug("the Redis client says", zap.String("format", format))
}

// Try connects once, writes and reads as replicas do, and returns why the store
// cannot be used, if so. It takes part in nothing that replicas share. Redis has
// to be provisioned.
func (r *Redis) Try(ctx context.Context) error {
	store, err := rediscache.New(r.config)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Try(ctx)
}
