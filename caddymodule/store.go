package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// sharedStore is what replicas share, as a guest module brings it.
type sharedStore interface {
	// Join takes part in it. See redis.Redis.
	Join(account, service string, memory exchange.Forgetter, unreadable func()) (m redis.Member, leave func(), err error)

	// PoolKey tells stores apart.
	PoolKey() string

	// LogKey keys the hash by which logs name a user.
	LogKey() masked.String

	// DenySignUps reports whether nobody is signed up while it is down.
	DenySignUps() bool
}

// loadStore loads the guest module of the option cache, if there is one.
func (e *endpoint) loadStore(ctx caddy.Context, p *option.Problems) {
	k := e.common.Cache
	if k == nil || k.RedisRaw == nil {
		return
	}
	if k.Disabled {
		p.Addf("redis", "it stands beside `cache off`: leave one of them out")
		return
	}
	store, err := ctx.LoadModuleByID(redis.ID, k.RedisRaw)
	if err != nil {
		p.Add("redis", err)
		return
	}
	e.store = store.(sharedStore)
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
	c := q.credentials
	if c.signUps == nil {
		return nil
	}
	tokens, kind := c.users.key(q.user), q.kind
	stored := func(ctx context.Context) *exchange.Grant { return c.policy.Stored(ctx, tokens, kind) }
	if q.fresh() { // what is stored may be what the caller wants no more
		stored = func(context.Context) *exchange.Grant { return nil }
	}
	return &exchange.Replicas{
		SignUps: c.signUps,
		User:    user,
		Stored:  stored,
		Deny:    q.store.DenySignUps(),
	}
}

// forgottenHere is what logs say when the others do not know it yet.
const forgottenHere = "a user was forgotten here only: the other replicas will be told when the shared store can be used again"

// forget drops a user's tokens, at all replicas, also if the caller does not wait
// for it.
func (q *request) forget(user exchange.UserKey) {
	if shared := q.credentials.policy.Shared; shared != nil {
		if err := shared.Forget(context.WithoutCancel(q.Context()), user); err != nil {
			q.logSampled(zapcore.WarnLevel, "", exchangeLogInterval, forgottenHere, zap.Error(err))
		}
	}
	q.account.engine.ForgetTokens(user)
}
