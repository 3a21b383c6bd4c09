package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/redis"
)

// sharedStore is what replicas share, as a guest module brings it.
type sharedStore interface {
	// Join takes part in it. See redis.Redis.
	Join(account, service string, memory exchange.Forgetter) (m redis.Member, leave func(), err error)

	// PoolKey tells stores apart.
	PoolKey() string

	// LogKey keys the hash by which logs name a user.
	LogKey() masked.String

	// DenySignUps reports whether nobody is signed up while it is down.
	DenySignUps() bool
}

// replicas is this replica's part of what they share. The zero value is that of
// a replica which works for itself.
type replicas struct {
	store  sharedStore // nil: there is none
	member redis.Member
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
	e.replicas.store = store.(sharedStore)
}

// join takes part in what replicas share. account and service name whose tokens
// and sign-ups these are, the same in all replicas.
func (e *endpoint) join(ctx caddy.Context, account, service string) error {
	if e.replicas.store == nil {
		return nil
	}
	member, leave, err := e.replicas.store.Join(account, service, e.account.engine)
	if err != nil {
		return err
	}
	e.releases.push(leave)
	e.replicas.member, e.policy.Shared = member, member.Shared
	return whenStarted(ctx, member.Start)
}

// rootKey keys the hashes that name users in caches. Without replicas it is this
// process's own. With them it is the same in all, and not made of the keys that
// seal the store's values: those are changed one replica after the other.
func (e *endpoint) rootKey(secret masked.String) []byte {
	switch {
	case e.replicas.store == nil:
		return processKey
	case secret.IsZero():
		return derive([]byte(e.replicas.store.LogKey().Reveal()), "store")
	}
	return derive([]byte(secret.Reveal()), "store")
}

// signUpsFor is what an exchange needs to leave its sign-up to another replica;
// nil if there are no others.
func (e *endpoint) signUpsFor(q *request, user exchange.UserKey) *exchange.Replicas {
	if e.replicas.store == nil {
		return nil
	}
	tokens, kind, policy := e.users.key(q.user), q.kind, &e.policy
	return &exchange.Replicas{
		SignUps: e.replicas.member.SignUps,
		User:    user,
		Stored:  func(ctx context.Context) *exchange.Grant { return policy.Stored(ctx, tokens, kind) },
		Deny:    e.replicas.store.DenySignUps(),
	}
}

// forget drops a user's tokens, at all replicas, also if the caller does not wait
// for it.
func (e *endpoint) forget(ctx context.Context, user exchange.UserKey) {
	if shared := e.policy.Shared; shared != nil {
		if err := shared.Forget(context.WithoutCancel(ctx), user); err != nil {
			if c := e.logger.Check(e.thinned(), "a user was forgotten here only: the other replicas will be told when the shared store can be used again"); c != nil {
				c.Write(zap.Error(err))
			}
		}
	}
	e.account.engine.Forget(user)
}
