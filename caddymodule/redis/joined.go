package redis

import (
	"context"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// joined is an account as one of those uses it who have something of it in their
// memory. Other processes hear of what is done from Redis; the others of this one
// are told here, also if the store is down: it is they who would hand it out.
type joined struct {
	exchange.Shared
	connection *connection
	account    string
	memory     exchange.Forgetter // knows already
}

// Put implements exchange.Shared.
func (j joined) Put(ctx context.Context, user exchange.UserKey, kind exchange.Kind, rec exchange.Record, seen exchange.Generation, news bool) (bool, error) {
	if news {
		defer j.others(func(m exchange.Forgetter) { m.ForgetTokens(user) })
	}
	return j.Shared.Put(ctx, user, kind, rec, seen, news)
}

// Forget implements exchange.Shared.
func (j joined) Forget(ctx context.Context, user exchange.UserKey) error {
	defer j.others(func(m exchange.Forgetter) { m.ForgetTokens(user) })
	return j.Shared.Forget(ctx, user)
}

// Flush implements exchange.Shared.
func (j joined) Flush(ctx context.Context) error {
	defer j.others(exchange.Forgetter.Flush)
	return j.Shared.Flush(ctx)
}

// others calls f, once the store has changed: until then they may read from it
// what is about to go.
func (j joined) others(f func(exchange.Forgetter)) {
	j.connection.each(j.account, func(m exchange.Forgetter) {
		if m != j.memory {
			f(m)
		}
	})
}

// Interface guard
var _ exchange.Shared = joined{}
