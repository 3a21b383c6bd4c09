package rediscache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// accountStore holds the records of one account in Redis. Each user has a Redis hash
// with a field for each kind of token, so that an eviction is one command.
type accountStore struct {
	store  *Store
	name   string // the account's name in keys
	prefix string // of the account's keys
	memory exchange.Invalidator
	joined int // how often memory has joined; protected by the Store's mu
}

// Up implements exchange.SharedStore.
func (a *accountStore) Up() bool { return a.store.Up() }

// Get implements exchange.SharedStore with one HMGET.
func (a *accountStore) Get(ctx context.Context, user exchange.UserKey, variant exchange.Variant) (rec exchange.Record, found bool, seen exchange.Tombstone, err error) {
	key := a.prefix + keyOf(user)
	a.store.awaitFirstCheck(ctx)
	err = a.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		values, err := c.HMGet(ctx, key, tombstoneField, fieldOf(variant)).Result()
		switch {
		case isWrongType(err):
			a.store.config.OnUnreadable()
			return nil
		case err != nil:
			return err
		case len(values) != 2:
			return errUnexpectedReply
		}
		tombstone, _ := values[0].(string) // nil is none
		seen = exchange.Tombstone(tombstone)
		if sealed, ok := values[1].(string); ok {
			rec, found = a.open(sealed, key, variant)
		}
		return nil
	})
	return rec, found, seen, err
}

// open decrypts and decodes a value. It reports a miss if the record has expired by the
// clock of this replica, and if the value cannot be read.
func (a *accountStore) open(sealed, key string, variant exchange.Variant) (rec exchange.Record, ok bool) {
	text, err := a.store.seal.Open([]byte(sealed), key, string(variant))
	if err == nil {
		rec, err = exchange.DecodeRecord(text)
	}
	if err != nil {
		a.store.config.OnUnreadable()
		return exchange.Record{}, false
	}
	if !a.store.now().Before(rec.Until) {
		return exchange.Record{}, false
	}
	return rec, true
}

// Put implements exchange.SharedStore with one script.
func (a *accountStore) Put(ctx context.Context, user exchange.UserKey, variant exchange.Variant, rec exchange.Record, seen exchange.Tombstone, replaces bool) (current bool, err error) {
	var (
		key, value    = a.prefix + keyOf(user), []byte(nil)
		channel, text string
	)
	life := max(0, rec.Until.Sub(a.store.now())).Truncate(time.Millisecond)
	if rec.Token == nil && rec.Err == nil {
		life = 0
	}
	if life > 0 {
		plain, err := rec.AppendBinary(nil)
		if err != nil {
			return false, err
		}
		value = a.store.seal.Seal(plain, key, string(variant))
	}
	if replaces {
		channel, text = a.store.channel(), a.message(user)
		defer a.store.notifyMembers(a.name, user, a.memory)
	}
	err = a.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		n, err := a.store.scripts.put.Run(ctx, c, []string{key}, string(seen), fieldOf(variant), value, life.Milliseconds(), maxVariants, channel, text).Int64()
		current = n == 1
		return err
	})
	return current && err == nil, err
}

// Evict implements exchange.SharedStore with one script. It notifies the other members
// in this process even if the store is down.
func (a *accountStore) Evict(ctx context.Context, user exchange.UserKey) error {
	defer a.store.notifyMembers(a.name, user, a.memory)
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.store.try(func(ctx context.Context, c redis.UniversalClient) error {
		return a.store.scripts.evict.Run(ctx, c, []string{a.prefix + keyOf(user)},
			randomID(), exchange.EvictedFor.Milliseconds(), a.store.channel(), a.message(user)).Err()
	})
}

// Flush implements exchange.SharedStore. It notifies the other replicas after all keys
// are deleted, so that they cannot read an old record again.
func (a *accountStore) Flush(ctx context.Context) error {
	defer a.store.notifyMembers(a.name, "", a.memory)
	if down := a.store.state.Load(); down != nil {
		return down
	}
	c, err := a.store.current()
	if err != nil {
		return err
	}
	if err := a.deleteAll(ctx, c); err != nil {
		return fmt.Errorf("flush: %w", redactError(err))
	}
	return a.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		return c.Publish(ctx, a.store.channel(), a.message("")).Err()
	})
}

func (a *accountStore) message(user exchange.UserKey) string {
	return message{replica: a.store.id, account: a.name, user: user}.String()
}

// deleteAll deletes the account's keys at all masters.
func (a *accountStore) deleteAll(ctx context.Context, c redis.UniversalClient) error {
	drop := func(ctx context.Context, node *redis.Client) error {
		return recoverPanic(func() error { return a.deleteAt(ctx, node) })
	}
	if cluster, ok := c.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, drop)
	}
	return drop(ctx, c.(*redis.Client))
}

func (a *accountStore) deleteAt(ctx context.Context, node *redis.Client) error {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		keys, next, err := node.Scan(ctx, cursor, globOf(a.prefix)+"*", 1000).Result()
		if err == nil && len(keys) > 0 {
			_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, key := range keys { // one key per command: in a cluster they have different slots
					p.Unlink(ctx, key)
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
		cursor = next
	}
	return nil
}

// keyOf returns the name of a user in keys. A UserKey is already a hash; this is its
// base64 text.
func keyOf(user exchange.UserKey) string { return base64.RawURLEncoding.EncodeToString([]byte(user)) }

// fieldOf returns the name of a variant in a user's hash: 16 characters, so it is never
// tombstoneField.
func fieldOf(variant exchange.Variant) string {
	sum := sha256.Sum256([]byte(variant))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// globOf escapes text, so that a Redis glob pattern matches it literally.
func globOf(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}

// Interface guard.
var _ exchange.SharedStore = (*accountStore)(nil)
