package endpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// slowStore is a shared store whose evictions and flushes call meanwhile and then fail.
type slowStore struct {
	exchange.SharedStore
	meanwhile func()
}

var errSlow = errors.New("not done")

func (s slowStore) Flush(context.Context) error {
	s.meanwhile()
	return errSlow
}

func (s slowStore) Evict(context.Context, exchange.UserKey) error {
	s.meanwhile()
	return errSlow
}

// TestEvictWithSlowStore checks that a flush takes effect in memory before the store has
// finished. Tokens that return from the store meanwhile are evicted, too, also if the
// store fails.
func TestEvictWithSlowStore(t *testing.T) {
	v, _ := account.New()
	a := v.(*account.Account)
	defer func() { _ = a.Destruct() }()
	put := func() {
		a.Cache.Limit(10).Put("u", "k", exchange.Record{Token: exchange.NewToken(time.Now()).Token(), Until: time.Now().Add(time.Hour)})
	}
	for name, evict := range map[string]func(TokenCache) error{
		"flush": func(m TokenCache) error { return m.Flush(t.Context()) },
		"evict": func(m TokenCache) error { return m.Evict(t.Context()) },
	} {
		put()
		err := evict(TokenCache{Account: a, user: "u", Shared: slowStore{meanwhile: func() {
			if n := a.Cache.Len(); name == "flush" && n != 0 {
				t.Errorf("%s: %d users are here while the store is slow", name, n)
			}
			put()
		}}})
		if n := a.Cache.Len(); n != 0 || !errors.Is(err, errSlow) {
			t.Errorf("%s: %d users are left, %v", name, n, err)
		}
	}
}
