package rediscache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// PingInterval is the time between two health checks. A store that has recovered is
// used again after at most that time. Tests shorten it.
var PingInterval = time.Second

const (
	// newTopology is how long the client of a cluster may fail before it is replaced.
	// The new client knows only the addresses in the options.
	newTopology = 30 * time.Second

	// probeLife is the lifetime of the keys of a health check, in multiples of the
	// interval.
	probeLife = 10
)

// run keeps the Store connected until it is closed. Only run sets the state to up. An
// operation without a response may set it to down.
func (s *Store) run() {
	defer close(s.done)
	up, reported := false, false
	for s.ctx.Err() == nil {
		s.monitor(s.config.newClient(), func(err error) {
			was := up
			if up = err == nil; up {
				s.state.Store(nil)
			} else {
				s.state.Store(&downError{err})
			}
			if up != was || !reported {
				s.config.OnState(up, err)
			}
			if !reported {
				reported = true
				close(s.known)
			}
		})
	}
	s.state.Store(&downError{errClosed})
}

// monitor checks the health of a client repeatedly, subscribes to messages, and calls
// found with each result. It returns when the client must be replaced, because its
// connections may be to a server that is no longer behind the address. A cluster client
// finds such changes itself, so it is replaced only after newTopology.
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

// closed is a closed channel.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// healthCheck checks whether the store can be used, by sending the commands that
// operations send. limit is the maximum time of the first round trip.
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
	s.client.Store(&c) // it responds, even if it cannot be used
	if errors.Is(err, context.DeadlineExceeded) {
		return errSlowServer
	}
	return redactError(err)
}

// ping sends PING to the server, or to all masters of a cluster.
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
	noAccount := message{replica: s.id, account: strings.Repeat("-", nameLen)}.String()
	if err := s.scripts.evict.Run(ctx, c, []string{key}, "", life, s.channel(), noAccount).Err(); err != nil {
		return err
	}
	if err := s.scripts.put.Run(ctx, c, []string{key}, "", "f", "v", life, maxVariants, "", "").Err(); err != nil {
		return err
	}
	if err := c.HMGet(ctx, key, tombstoneField, "f").Err(); err != nil {
		return err
	}
	return s.compareKeys(ctx, c)
}

var errOtherKeys = errors.New("other replicas use different encryption keys: set the same encryption_keys on all replicas")

// compareKeys compares the encryption keys with those of the replica that ran the last
// health check. A replica that has no key in common with it could not decrypt any
// value. It must not take locks, because the others would not see them.
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

// Try connects once, runs one health check, and returns the reason if the store cannot
// be used. Do not call Connect before. The Store cannot be used afterwards.
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
