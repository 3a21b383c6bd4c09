package metrics

import (
	"context"
	"errors"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// InstrumentedStore is a shared store that counts its operations by result.
type InstrumentedStore struct{ exchange.SharedStore }

// Get implements exchange.SharedStore. It counts a hit or a miss.
func (s InstrumentedStore) Get(ctx context.Context, user exchange.UserKey, variant exchange.Variant) (exchange.Record, bool, exchange.Tombstone, error) {
	rec, found, seen, err := s.SharedStore.Get(ctx, user, variant)
	result := cacheMiss
	if found {
		result = cacheHit
	}
	countStore(ctx, result, err)
	return rec, found, seen, err
}

// Put implements exchange.SharedStore.
func (s InstrumentedStore) Put(ctx context.Context, user exchange.UserKey, variant exchange.Variant, rec exchange.Record, seen exchange.Tombstone, replaces bool) (bool, error) {
	current, err := s.SharedStore.Put(ctx, user, variant, rec, seen, replaces)
	if current || err != nil { // not current: the user was evicted meanwhile, so nothing was written
		countStore(ctx, cacheWritten, err)
	}
	return current, err
}

// Evict implements exchange.SharedStore.
func (s InstrumentedStore) Evict(ctx context.Context, user exchange.UserKey) error {
	err := s.SharedStore.Evict(ctx, user)
	countStore(ctx, cacheWritten, err)
	return err
}

// Flush implements exchange.SharedStore.
func (s InstrumentedStore) Flush(ctx context.Context) error {
	err := s.SharedStore.Flush(ctx)
	countStore(ctx, cacheWritten, err)
	return err
}

// countStore counts an operation of the store: with the given result if err is nil, and
// as down or error otherwise. It does not count an operation that failed because ctx was
// done: that says nothing about the store.
func countStore(ctx context.Context, result cacheResult, err error) {
	switch {
	case errors.Is(err, exchange.ErrDown):
		result = cacheDown
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return
	case err != nil:
		result = cacheError
	}
	redisCounts[result].Inc()
}

// CountUnreadable counts a value of the store that could not be decrypted or decoded.
func CountUnreadable() { redisCounts[cacheUnreadable].Inc() }

// Interface guard
var _ exchange.SharedStore = InstrumentedStore{}
