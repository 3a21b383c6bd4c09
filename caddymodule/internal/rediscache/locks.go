package rediscache

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// The values of a lock. A running sign-up's value ends with the ID of the lock.
const (
	lockRunning = "running "
	lockDone    = "done"
	lockHeld    = "held"
)

// signUpLocks are the locks of one service: API, deployment and project. They do not
// belong to an account, and Flush does not delete them. A lock is a Redis string. Its
// name is a keyed hash of the user. The key is derived from the last encryption key,
// the one that all replicas have had longest. Without a key, an attacker could find
// users who were signed up by trying addresses.
type signUpLocks struct {
	store  *Store
	prefix string
}

func (l *signUpLocks) keyOf(user exchange.UserKey) string {
	return l.prefix + base64.RawURLEncoding.EncodeToString(keyedHash(l.store.lockKey, string(user)))
}

// Lock implements exchange.SignUpLocks with one SET, and one GET if the lock is taken.
func (l *signUpLocks) Lock(ctx context.Context, user exchange.UserKey, life time.Duration) (lock exchange.SignUpLock, err error) {
	id, key := randomID(), l.keyOf(user)
	err = l.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		lock = exchange.SignUpLock{State: exchange.SignUpAcquired, ID: id}
		set, err := c.SetNX(ctx, key, lockRunning+id, life).Result()
		if err != nil || set {
			return err
		}
		lock = exchange.SignUpLock{}
		lock.State, err = stateOf(c.Get(ctx, key))
		return err
	})
	return lock, err
}

// Peek implements exchange.SignUpLocks with one GET.
func (l *signUpLocks) Peek(ctx context.Context, user exchange.UserKey) (lock exchange.SignUpLock, err error) {
	err = l.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) (err error) {
		lock.State, err = stateOf(c.Get(ctx, l.keyOf(user)))
		return err
	})
	return lock, err
}

// Release implements exchange.SignUpLocks with one command.
func (l *signUpLocks) Release(ctx context.Context, user exchange.UserKey, lock exchange.SignUpLock, end exchange.SignUpEnd, life time.Duration) error {
	key := l.keyOf(user)
	if end.Exists {
		return l.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
			return c.Set(ctx, key, lockDone, life).Err()
		})
	}
	return l.replace(ctx, key, lockRunning+lock.ID, end.Hold)
}

// Unhold implements exchange.SignUpLocks.
func (l *signUpLocks) Unhold(ctx context.Context, user exchange.UserKey) error {
	return l.replace(ctx, l.keyOf(user), lockHeld, 0)
}

// replace replaces a lock that has the value old with a hold, or deletes it if hold is
// less than a millisecond. It leaves a lock with another value.
func (l *signUpLocks) replace(ctx context.Context, key, old string, hold time.Duration) error {
	held := ""
	if hold >= time.Millisecond {
		held = lockHeld
	}
	return l.store.do(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		return l.store.scripts.release.Run(ctx, c, []string{key}, old, held, hold.Milliseconds()).Err()
	})
}

// stateOf decodes the value of a lock. It treats an unknown value as a running sign-up,
// which is the safe choice.
func stateOf(cmd *redis.StringCmd) (exchange.SignUpState, error) {
	value, err := cmd.Result()
	switch {
	case errors.Is(err, redis.Nil):
		return exchange.SignUpFree, nil
	case isWrongType(err), strings.HasPrefix(value, lockRunning):
		return exchange.SignUpRunning, nil
	case err != nil:
		return exchange.SignUpFree, err
	case value == lockDone:
		return exchange.SignUpDone, nil
	case value == lockHeld:
		return exchange.SignUpHeld, nil
	}
	return exchange.SignUpRunning, nil
}

// Interface guard.
var _ exchange.SignUpLocks = (*signUpLocks)(nil)
