// Package rediscache keeps records in Redis (or Valkey), where all replicas find
// them: sealed, each with an end, and under names from which nobody can be read.
//
// Redis is never needed for a token. An operation has a short time, after which
// it has failed; and once it has turned out that there is no use in trying, none
// is tried until somebody in the background has found that there is.
package rediscache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/seal"
)

// Store is the way to one Redis. It is used through Account and SignUps, all of
// which share its connections and what is known of its state.
type Store struct {
	config  Config
	seal    *seal.Sealer
	scripts scripts
	owed    owed
	id      string // names this replica in messages: random, of a fixed length
	now     func() time.Time

	markerKeys []markerKey // at least one

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once     // Connect, or Close without it
	done   chan struct{} // closed when everything has ended

	looked chan struct{}                  // closed when the store was looked at for the first time
	client atomic.Pointer[rueidis.Client] // nil while there is none
	reads  atomic.Pointer[downError]      // why nothing is tried; nil: it is
	writes atomic.Pointer[downError]      // why nothing is written; nil: it is
	up     atomic.Bool

	slots    chan struct{}          // taken by operations under way
	started  time.Time              // what lastOK counts from
	lastOK   atomic.Int64           // when the last operation with an answer ended, in ns since started
	suspects atomic.Pointer[string] // the key of the last operation without an answer
	suspect  chan struct{}          // wakes the keeper

	heardBefore bool // messages were heard once; the listener's

	mu       sync.Mutex
	accounts map[string]*account // by their name in keys
}

// New returns a Store that does no I/O before Connect. It fails only on a Config
// that cannot be. Close it.
func New(c Config) (*Store, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	sealer, err := seal.New(c.Keys)
	if err != nil {
		return nil, err
	}
	markerKeys := newMarkerKeys(c.Keys)
	c.Keys = nil
	s := &Store{
		config:  c,
		seal:    sealer,
		scripts: newScripts(),
		id:      randomID(),
		now:     time.Now,

		markerKeys: markerKeys,

		done:     make(chan struct{}),
		looked:   make(chan struct{}),
		slots:    make(chan struct{}, maxInFlight),
		started:  time.Now(),
		suspect:  make(chan struct{}, 1),
		accounts: make(map[string]*account),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.shut(troubleAll, errStarts)
	return s, nil
}

// Connect connects the Store in the background, and keeps it connected. Until
// then its operations fail; reads and claims wait for as long as an operation may
// take, because it may be there at any moment. It may be called again.
func (s *Store) Connect() { s.once.Do(func() { go s.keep() }) }

// Close ends everything, also what waits for an answer. Operations fail from
// then on. It may be called again. (Of a cluster's client some timers that do
// nothing any more end within 5 s.)
func (s *Store) Close() {
	s.cancel()
	s.once.Do(func() { close(s.done) })
	<-s.done
}

// Up reports whether the store serves everything. It is a look at what is known,
// and asks nobody.
func (s *Store) Up() bool { return s.up.Load() }

// Account returns the records of one account. The id tells accounts apart; in
// the store there is only its hash. It has to be the same in all replicas, and
// so do the UserKeys.
func (s *Store) Account(id string) exchange.Shared { return s.account(id) }

func (s *Store) account(id string) *account {
	name := nameOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[name]
	if !ok {
		a = &account{store: s, id: id, name: name, prefix: s.config.KeyPrefix + "t:" + name + ":"}
		s.accounts[name] = a
	}
	return a
}

// known returns an account by its name in keys, or nil.
func (s *Store) known(name string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[name]
}

// SignUps returns the markers of one service: API, deployment and project. They
// are no part of an account, and no Flush reaches them. UserKeys and service have
// to be the same in all replicas, and need not be secret: the names of markers
// are made of them with the encryption keys.
func (s *Store) SignUps(service string) exchange.SignUps {
	return &signUps{store: s, prefix: s.config.KeyPrefix + "s:" + nameOf(service) + ":"}
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

// operation is one that was begun, and has to be ended.
type operation struct {
	rueidis.Client
	ctx    context.Context
	cancel context.CancelFunc
	key    string
	write  bool
	start  time.Duration // since the Store's start
}

// begin says whether an operation is tried. Its time begins now and is its own:
// ctx decides whether it is begun and does not cut it short. What a caller
// leaves behind on a connection would take up room there, and be answered all
// the same.
func (s *Store) begin(ctx context.Context, key string, write bool) (operation, error) {
	if err := ctx.Err(); err != nil {
		return operation{}, err
	}
	if err := s.refused(write); err != nil {
		return operation{}, err
	}
	op := operation{key: key, write: write, start: time.Since(s.started)}
	op.ctx, op.cancel = context.WithTimeout(s.ctx, s.config.Timeout)
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-op.ctx.Done():
			op.cancel()
			return operation{}, errBusy
		}
	}
	// Once more, now that it counts: whoever shuts the Store and then sees
	// nobody under way knows that nobody will be.
	if err := s.refused(write); err != nil {
		s.leave(&op)
		return operation{}, err
	}
	c := s.client.Load()
	if c == nil {
		s.leave(&op)
		return operation{}, &downError{errStarts}
	}
	op.Client = *c
	return op, nil
}

func (s *Store) refused(write bool) error {
	if e := s.reads.Load(); e != nil {
		return e
	}
	if e := s.writes.Load(); write && e != nil {
		return e
	}
	return nil
}

func (s *Store) leave(op *operation) {
	<-s.slots
	op.cancel()
}

// end says what an operation's error means to the Store, and returns it as
// others may see it. Whoever waits for its place sees what it has found.
func (s *Store) end(op *operation, err error) error {
	defer s.leave(op)
	if s.ctx.Err() != nil {
		return &downError{errClosed}
	}
	t := troubleOf(err, op.write)
	switch {
	case t == troubleNone:
		s.lastOK.Store(int64(time.Since(s.started)))
		if err == nil || rueidis.IsRedisNil(err) {
			return nil
		}
		return plain(err)
	case t == troubleLink && s.lastOK.Load() > int64(op.start):
		// Others were answered meanwhile: it may have been this one's bad luck,
		// or a process that was short of time. The keeper has a look.
	default:
		s.shut(t, plain(err))
	}
	s.suspects.Store(&op.key)
	s.wake()
	return plain(err)
}

// shut lets no operation through any more, or no write.
func (s *Store) shut(t trouble, reason error) {
	e := &downError{reason}
	s.writes.Store(e)
	if t != troubleWrites {
		s.reads.Store(e)
	}
}
