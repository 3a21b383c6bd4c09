package rediscache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// PingInterval is how often a store is looked at. One that is back is used that much
// later. It is shorter in tests.
var PingInterval = time.Second

const (
	// newTopology is after how long without success the client of a cluster is
	// replaced by one that knows nothing of it but what the options say.
	newTopology = 30 * time.Second

	// probeLife is how many looks what they leave in the store lasts.
	probeLife = 10
)

// run keeps the Store connected until it is closed. It alone says that the store can be
// used; an operation without an answer may say that it cannot.
func (s *Store) run() {
	defer close(s.done)
	up, told := false, false
	for s.ctx.Err() == nil {
		s.monitor(s.config.newClient(), func(err error) {
			was := up
			if up = err == nil; up {
				s.state.Store(nil)
			} else {
				s.state.Store(&downError{err})
			}
			if up != was || !told {
				s.config.OnState(up, err)
			}
			if !told {
				told = true
				close(s.known)
			}
		})
	}
	s.state.Store(&downError{errClosed})
}

// monitor looks at a client again and again, tells what it has found, and returns when
// another client is wanted: its connections may be to a server that is no longer
// the one behind the address. That of a cluster finds out by itself.
func (s *Store) monitor(c redis.UniversalClient, found func(error)) {
	ctx, cancel := context.WithCancel(s.ctx)
	lost := closed
	defer func() {
		s.client.Store(nil)
		cancel()
		_ = c.Close()
		<-lost
	}()
	limit := connectTimeout // the first round trip has to connect
	for lastUp := time.Now(); ; {
		err := s.healthCheck(c, limit)
		select {
		case <-lost:
			if err == nil {
				lost, err = s.subscribe(ctx, c)
			}
		default:
		}
		if s.ctx.Err() != nil {
			return
		}
		found(err)
		if limit = connectTimeout; err == nil {
			lastUp, limit = time.Now(), s.config.Timeout
		}
		select {
		case <-time.After(s.config.interval):
		case <-s.ctx.Done():
			return
		}
		if err != nil && (!s.config.Cluster || time.Since(lastUp) > newTopology) {
			return
		}
	}
}

// closed is a channel that is closed.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// healthCheck finds out whether the store can be used, by doing what operations do. limit is
// how long the first round trip may take.
func (s *Store) healthCheck(c redis.UniversalClient, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	if err := recoverPanic(func() error { return ping(ctx, c) }); err != nil {
		s.client.Store(nil)
		return redactError(err)
	}
	ctx, cancel = context.WithTimeout(s.ctx, s.config.Timeout)
	defer cancel()
	err := recoverPanic(func() error { return s.tryCommands(ctx, c) })
	s.client.Store(&c) // it answers, whether or not it serves
	if errors.Is(err, context.DeadlineExceeded) {
		return errSlowServer
	}
	return redactError(err)
}

// ping asks all masters for an answer.
func ping(ctx context.Context, c redis.UniversalClient) error {
	if cluster, ok := c.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return recoverPanic(func() error { return node.Ping(ctx).Err() })
		})
	}
	return c.Ping(ctx).Err()
}

// tryCommands sends the commands that operations send, for a key of this replica.
func (s *Store) tryCommands(ctx context.Context, c redis.UniversalClient) error {
	key, life := s.config.KeyPrefix+"p:"+s.id, (probeLife * s.config.interval).Milliseconds()
	nobody := message{replica: s.id, account: strings.Repeat("-", nameLen)}.String()
	if err := s.scripts.evict.Run(ctx, c, []string{key}, "", life, s.channel(), nobody).Err(); err != nil {
		return err
	}
	if err := s.scripts.put.Run(ctx, c, []string{key}, "", "f", "v", life, maxKinds, "", "").Err(); err != nil {
		return err
	}
	if err := c.HMGet(ctx, key, tombstoneField, "f").Err(); err != nil {
		return err
	}
	return s.compareKeys(ctx, c)
}

var errOtherKeys = errors.New("the other replicas have no encryption key in common with this one: is encryption_keys the same everywhere?")

// compareKeys compares the encryption keys with those of the replica that has been
// here last. Who has none in common with it could open nothing, and must not take
// locks that the others do not see.
func (s *Store) compareKeys(ctx context.Context, c redis.UniversalClient) error {
	key := s.config.KeyPrefix + "keys"
	theirs, err := c.Get(ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) && !isWrongType(err) {
		return err
	}
	common := func(id string) bool { return slices.Contains(s.keyIDs, id) }
	if err == nil && !slices.ContainsFunc(strings.Fields(theirs), common) {
		return errOtherKeys
	}
	return c.Set(ctx, key, strings.Join(s.keyIDs, " "), probeLife*s.config.interval).Err()
}

// Try connects once, does what replicas do, and returns why the store cannot be used,
// if so. The Store must not be connected.
func (s *Store) Try(ctx context.Context) (err error) {
	defer context.AfterFunc(ctx, s.cancel)()
	s.once.Do(func() {
		defer close(s.done)
		s.monitor(s.config.newClient(), func(found error) { err = found; s.cancel() })
	})
	if ctx.Err() != nil {
		return redactError(ctx.Err())
	}
	return err
}
