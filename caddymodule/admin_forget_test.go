package caddymodule

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// slowStore is a shared store that forgets as this process goes on.
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

// TestForgettingBesideTheStore: a flush takes effect here before the store has
// done its part; and what came back from there meanwhile goes, too. So it does
// if the store does not do its part.
func TestForgettingBesideTheStore(t *testing.T) {
	v, _ := newAccount()
	a := v.(*account)
	defer func() {
		_ = a.Destruct()
		draining.Wait()
	}()
	keep := func() {
		a.cache.Limit(10).Put("u", "k", exchange.Record{Grant: benchGrant(1), Until: time.Now().Add(time.Hour)})
	}
	for name, forget := range map[string]func(memory) error{
		"flush": func(m memory) error { return m.flush(t.Context()) },
		"evict": func(m memory) error { return m.evict(t.Context()) },
	} {
		keep()
		err := forget(memory{account: a, user: "u", shared: slowStore{meanwhile: func() {
			if n := a.cache.Len(); name == "flush" && n != 0 {
				t.Errorf("%s: %d users are here while the store is slow", name, n)
			}
			keep()
		}}})
		if n := a.cache.Len(); n != 0 || !errors.Is(err, errSlow) {
			t.Errorf("%s: %d users are left, %v", name, n, err)
		}
	}
}
