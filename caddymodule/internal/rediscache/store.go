// Package rediscache keeps records in Redis (or Valkey), where all replicas find
// them: sealed, each with an end, and under names from which nobody can be read.
//
// Redis is never needed for a token. An operation has a short time, after which
// it has failed; and while Redis cannot be used none is tried.
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

// Store is the way to one Redis. It is used through the Members that Join returns,
// all of which share its connections and what is known of its state.
type Store struct {
	config  Config
	seal    *seal.Sealer
	scripts scripts
	keyIDs  []string      // names the encryption keys
	lockKey masked.String // keys the names of users in locks
	id      string        // names this replica in messages: random, of a fixed length
	now     func() time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once     // Connect, or Close without it
	done   chan struct{} // closed when everything has ended

	client atomic.Pointer[redis.UniversalClient] // of a server that answers, or nil
	state  atomic.Pointer[downError]             // why nothing is tried; nil: it is
	known  chan struct{}                         // closed when the state is known for the first time

	started  time.Time    // what answered counts from
	answered atomic.Int64 // when an operation was answered last, in ns since started

	mu      sync.Mutex
	members map[string]map[exchange.Forgetter]*accountStore // by account
}

// New returns a Store that does no I/O before Connect. It fails only on keys that
// are none. Close it.
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
		members: make(map[string]map[exchange.Forgetter]*accountStore),
	}
	s.config.Keys = nil
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.config.ctx = s.ctx
	s.state.Store(&downError{errNotConnected})
	return s, nil
}

// Connect connects the Store in the background, and keeps it connected. Until
// then its operations fail; reads and locks wait for as long as an operation may
// take, because it may be there at any moment. It may be called again.
func (s *Store) Connect() { s.once.Do(func() { go s.run() }) }

// Close ends everything, also what waits for an answer. Operations fail from
// then on. It may be called again.
func (s *Store) Close() {
	s.cancel()
	s.once.Do(func() { close(s.done) })
	<-s.done
}

// Up reports whether the store can be used. It is a look at what is known, and
// asks nobody.
func (s *Store) Up() bool { return s.state.Load() == nil }

// Join makes memory, that of an account, hear what other replicas evict, and others
// of this process who have joined the same account. What it does itself by way of
// the Member it does not hear. account and service name those whose tokens and
// sign-ups are shared: they have to be the same in all replicas, as do the keys of
// users. In the store there are only their hashes. leave has to be called when
// nobody uses the Member any more.
func (s *Store) Join(account, service string, memory exchange.Forgetter) (m exchange.Member, leave func()) {
	a := s.addMember(nameOf(account), memory, 1)
	return exchange.Member{
		Store: a,
		Locks: &signUpLocks{store: s, prefix: s.config.KeyPrefix + "s:" + nameOf(service) + ":"},
		Start: s.Connect,
	}, func() { s.addMember(a.name, memory, -1) }
}

// addMember counts how often memory has joined an account, and returns what it has of it.
func (s *Store) addMember(account string, memory exchange.Forgetter, n int) *accountStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := s.members[account]
	if members == nil {
		members = make(map[exchange.Forgetter]*accountStore)
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

// notifyMembers makes the members of an account, but for one, drop the tokens of a user, or
// without a user everything.
func (s *Store) notifyMembers(account string, user exchange.UserKey, but exchange.Forgetter) {
	s.mu.Lock()
	members := slices.Collect(maps.Keys(s.members[account]))
	s.mu.Unlock()
	for _, m := range members {
		switch {
		case m == but:
		case user == "":
			m.Flush()
		default:
			m.ForgetTokens(user)
		}
	}
}

// do runs an operation if the store can be used. Its time is its own: ctx decides
// whether it is begun and does not cut it short, so that the connection can be used
// again.
func (s *Store) do(ctx context.Context, f func(context.Context, redis.UniversalClient) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if down := s.state.Load(); down != nil {
		return down
	}
	return s.try(f)
}

// try runs an operation whatever the state of the store is. If it has no answer, and
// no other one was answered meanwhile, the store is not used until it is looked at:
// whoever comes next must not wait as long.
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
		s.answered.Store(int64(time.Since(s.started)))
	case s.answered.Load() < int64(start):
		s.state.CompareAndSwap(nil, &downError{redactError(err)})
	}
	return redactError(err)
}

// current returns the client of a server that answers, or why there is none.
func (s *Store) current() (redis.UniversalClient, error) {
	if c := s.client.Load(); c != nil {
		return *c, nil
	}
	if down := s.state.Load(); down != nil {
		return nil, down
	}
	return nil, &downError{errNotConnected} // it is gone since, and the state is about to say so
}

var errUnexpectedReply = errors.New("an answer that is none to what was asked")

// recoverPanic calls f. The client panics at some answers that no Redis gives.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if recover() != nil { // the value is dropped: it may hold anything
			err = errUnexpectedReply
		}
	}()
	return f()
}

// awaitFirstCheck waits until it is known whether the store can be used, for as long as an
// operation may take: at a start and after a reload replicas should not do without
// each other only because nobody has looked yet.
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

// nameOf is how an account or a service is named in keys.
func nameOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// nameLen is the length of what nameOf and randomID return.
const nameLen = 22

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// keyedHash is HMAC-SHA256.
func keyedHash(key masked.String, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
