// Package rediscache stores records in Redis (or Valkey), where all replicas find them:
// encrypted, with an expiry, and under keys that do not reveal the user.
//
// No token depends on Redis. An operation fails after a short timeout. While Redis
// cannot be used, no operation is tried.
package rediscache

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

// Store is the connection to one Redis. Use it through the Members that Join returns.
// They share its connections and its state.
type Store struct {
	config  Config
	seal    *seal.Sealer
	scripts scripts
	keyIDs  []string      // the ids of the encryption keys
	lockKey masked.String // the key for the hashes of users in locks
	id      string        // identifies this replica in messages: random, of a fixed length
	now     func() time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once     // Connect, or Close without it
	done   chan struct{} // closed when all goroutines have ended

	client atomic.Pointer[redis.UniversalClient] // of a server that responds, or nil
	state  atomic.Pointer[downError]             // why operations are not tried; nil: they are
	known  chan struct{}                         // closed when the state is first known

	started      time.Time    // the time that lastResponse is relative to
	lastResponse atomic.Int64 // when an operation last got a response, in ns since started

	mu      sync.Mutex
	members map[string]map[exchange.Invalidator]*accountStore // by account
}

// New returns a Store that does no I/O before Connect. It returns an error only if a
// key is invalid. c.Keys must not be empty. Call Close to release the Store.
func New(c Config) (*Store, error) {
	c = c.withDefaults()
	sealer, err := seal.New(c.Keys)
	if err != nil {
		return nil, err
	}
	s := &Store{
		config:  c,
		seal:    sealer,
		scripts: newScripts(),
		keyIDs:  sealer.KeyIDs(),
		lockKey: masked.New(string(keyedHash(c.Keys[len(c.Keys)-1], "caddy-huma sign-up lock"))),
		id:      randomID(),
		now:     time.Now,
		done:    make(chan struct{}),
		known:   make(chan struct{}),
		started: time.Now(),
		members: make(map[string]map[exchange.Invalidator]*accountStore),
	}
	s.config.Keys = nil
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.config.ctx = s.ctx
	s.state.Store(&downError{errNotConnected})
	return s, nil
}

// Connect connects the Store in the background, and keeps it connected. Operations fail
// until the first health check. Get waits for it, for at most the timeout of an
// operation, because the store may be usable at any moment. Connect may be called more
// than once.
func (s *Store) Connect() { s.once.Do(func() { go s.run() }) }

// Close closes the connections and cancels running operations. Operations fail from
// then on. Close may be called more than once.
func (s *Store) Close() {
	s.cancel()
	s.once.Do(func() { close(s.done) })
	<-s.done
}

// Up reports whether the store can be used, according to the last known state. It makes
// no call.
func (s *Store) Up() bool { return s.state.Load() == nil }

// Join connects the memory cache of an account with the other replicas, and with other
// caches of this process that have joined the same account: evictions there are applied
// to memory. Evictions through the returned Member itself are not applied. account and
// service identify what is shared: the tokens and the sign-ups. They must be the same
// in all replicas, as must the keys of users. The store contains only their hashes.
// Call leave when the Member is no longer used.
func (s *Store) Join(account, service string, memory exchange.Invalidator) (m exchange.Member, leave func()) {
	a := s.addMember(nameOf(account), memory, 1)
	return exchange.Member{
		Store: a,
		Locks: &signUpLocks{store: s, prefix: s.config.KeyPrefix + "s:" + nameOf(service) + ":"},
		Start: s.Connect,
	}, func() { s.addMember(a.name, memory, -1) }
}

// addMember adds n to the number of times that memory has joined an account, and
// returns its accountStore.
func (s *Store) addMember(account string, memory exchange.Invalidator, n int) *accountStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := s.members[account]
	if members == nil {
		members = make(map[exchange.Invalidator]*accountStore)
		s.members[account] = members
	}
	a := members[memory]
	if a == nil {
		a = &accountStore{store: s, name: account, prefix: s.config.KeyPrefix + "t:" + account + ":", memory: memory}
		members[memory] = a
	}
	if a.joined += n; a.joined == 0 {
		delete(members, memory)
	}
	if len(members) == 0 {
		delete(s.members, account)
	}
	return a
}

// notifyMembers drops the tokens of a user in the memory of all members of an account,
// except but. If user is empty, it drops everything.
func (s *Store) notifyMembers(account string, user exchange.UserKey, but exchange.Invalidator) {
	s.mu.Lock()
	members := slices.Collect(maps.Keys(s.members[account]))
	s.mu.Unlock()
	for _, m := range members {
		switch {
		case m == but:
		case user == "":
			m.Flush()
		default:
			m.EvictTokens(user)
		}
	}
}

// do runs an operation if the store can be used. ctx decides only whether it starts.
// The operation has its own timeout and is not interrupted by ctx, so that the
// connection can be reused.
func (s *Store) do(ctx context.Context, f func(context.Context, redis.UniversalClient) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if down := s.state.Load(); down != nil {
		return down
	}
	return s.try(f)
}

// try runs an operation even if the store is down. If it gets no response, and no other
// operation got one in the meantime, the store is down until the next health check, so
// that the next caller does not wait for the timeout.
func (s *Store) try(f func(context.Context, redis.UniversalClient) error) (err error) {
	c, err := s.current()
	if err != nil {
		return err
	}
	start := time.Since(s.started)
	ctx, cancel := context.WithTimeout(s.ctx, s.config.Timeout)
	defer cancel()
	err = recoverPanic(func() error { return f(ctx, c) })
	switch {
	case s.ctx.Err() != nil:
		return &downError{errClosed}
	case isResponse(err):
		s.lastResponse.Store(int64(time.Since(s.started)))
	case s.lastResponse.Load() < int64(start):
		s.state.CompareAndSwap(nil, &downError{redactError(err)})
	}
	return redactError(err)
}

// current returns the client of a server that responds, or an error with the reason why
// there is none.
func (s *Store) current() (redis.UniversalClient, error) {
	if c := s.client.Load(); c != nil {
		return *c, nil
	}
	if down := s.state.Load(); down != nil {
		return nil, down
	}
	return nil, &downError{errNotConnected} // the client was just removed, and the state is about to change
}

var errUnexpectedReply = errors.New("unexpected reply")

// recoverPanic calls f and turns a panic into an error. The client panics on some
// replies that no Redis sends.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			err = errUnexpectedReply
		}
	}()
	return f()
}

// awaitFirstCheck waits until the state of the store is first known, for at most the
// timeout of an operation. Without it, replicas would not share tokens right after a
// start or reload, only because the first health check is still running.
func (s *Store) awaitFirstCheck(ctx context.Context) {
	select {
	case <-s.known:
		return
	default:
	}
	timer := time.NewTimer(s.config.Timeout)
	defer timer.Stop()
	select {
	case <-s.known:
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
}

// nameOf returns the name of an account or a service in keys.
func nameOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// nameLen is the length of the results of nameOf and randomID.
const nameLen = 22

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// keyedHash returns the HMAC-SHA256 of text.
func keyedHash(key masked.String, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
