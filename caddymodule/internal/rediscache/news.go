package rediscache

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// What messages are about.
const (
	newsForget = "forget"
	newsBetter = "news"
	newsFlush  = "flush"
	newsBeat   = "beat" // to oneself: that messages arrive
)

const messageVersion = "1"

// message is what replicas tell each other. Its text is words with a space
// between: version, replica, what, account, user.
type message struct {
	replica string
	what    string
	account string // its name in keys
	user    exchange.UserKey
}

// String is the message as it is sent.
func (m message) String() string {
	words := []string{messageVersion, m.replica, m.what}
	switch m.what {
	case newsFlush:
		words = append(words, m.account)
	case newsForget, newsBetter:
		words = append(words, m.account, keyOf(m.user))
	}
	return strings.Join(words, " ")
}

// readMessage reads a message. What is none, or one of another version, is
// nothing to act on.
func readMessage(text string) (m message, ok bool) {
	words := strings.Split(text, " ")
	if len(words) < 3 || words[0] != messageVersion || len(words[1]) != nameLen {
		return message{}, false
	}
	m = message{replica: words[1], what: words[2]}
	words = words[3:]
	switch m.what {
	case newsBeat:
		return m, len(words) == 0
	case newsFlush:
		if len(words) != 1 || len(words[0]) != nameLen {
			return message{}, false
		}
		m.account = words[0]
		return m, true
	case newsForget, newsBetter:
		if len(words) != 2 || len(words[0]) != nameLen {
			return message{}, false
		}
		user, err := base64.RawURLEncoding.Strict().DecodeString(words[1])
		m.account, m.user = words[0], exchange.UserKey(user)
		// Compared, because the decoder passes over line breaks.
		return m, err == nil && keyOf(m.user) == words[1]
	}
	return message{}, false
}

// channel is the name under which messages are sent. In a cluster it is the
// same for all nodes.
func (s *Store) channel() string { return s.config.KeyPrefix + "news" }

// heard acts on a message of another replica.
func (s *Store) heard(m message) {
	a := s.known(m.account)
	if a == nil {
		return
	}
	switch m.what {
	case newsForget:
		s.config.OnForget(a.id, m.user)
	case newsBetter:
		s.config.OnNews(a.id, m.user)
	case newsFlush:
		a.flushes.Add(1)
		s.config.OnFlush(a.id)
	}
}

// missed acts on messages that may not have come: nothing in memory is certain,
// and what was seen before now cannot be put any more. The latter not at the
// start: the first tokens should not be lost to the others because of it.
func (s *Store) missed(ctx context.Context, c rueidis.Client) error {
	s.mu.Lock()
	accounts := slices.Collect(maps.Values(s.accounts))
	s.mu.Unlock()
	for _, a := range accounts {
		flushed, err := c.Do(ctx, c.B().Get().Key(a.flushKey()).Build()).ToString()
		if err != nil && !rueidis.IsRedisNil(err) && !isWrongType(err) { // what is no flush of ours is none
			return err
		}
		if s.heardBefore {
			a.flushes.Add(1)
		}
		if flushed != "" && flushed != a.flushed {
			a.flushed = flushed
			s.config.OnFlush(a.id)
			continue
		}
		s.config.OnReconnect(a.id)
	}
	s.heardBefore = true
	return nil
}

// deaf is how long the keeper's own messages may be overdue until the
// connection on which they should have come is taken for lost. It may be open
// for all that: at a server that is no longer the master.
const deaf = 2 * beat

// listener hears messages, on a connection of its own.
type listener struct {
	store  *Store
	client rueidis.Client
	tries  chan error    // how the last try to subscribe ended
	again  chan struct{} // ends the pause before the next one
	err    error         // what the keeper knows of it

	lastSent  atomic.Int64 // when the keeper last said something; ns since the Store's start
	lastHeard atomic.Int64 // when that was last heard
}

func newListener(s *Store, c rueidis.Client) *listener {
	return &listener{store: s, client: c, tries: make(chan error, 1), again: make(chan struct{}, 1)}
}

func (l *listener) sent() { l.lastSent.Store(int64(time.Since(l.store.started))) }

// tried tells the keeper how a try to subscribe ended.
func (l *listener) tried(err error) {
	select {
	case <-l.tries: //nolint:errcheck // of an earlier one
	default:
	}
	l.tries <- err
	if err != nil {
		l.store.wake()
	}
}

// hears reports why messages cannot be heard, if so: whoever shares tokens has
// to hear who is forgotten. It is the keeper's. If it could not be done before it
// is tried now, so that what was mended is used at once.
func (l *listener) hears(ctx context.Context) error {
	select {
	case l.err = <-l.tries:
	default:
	}
	if l.err == nil {
		return nil
	}
	select {
	case l.again <- struct{}{}:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	select {
	case l.err = <-l.tries:
	case <-ctx.Done():
	}
	return l.err
}

// listen subscribes, again and again.
func (l *listener) listen(ctx context.Context) {
	for wait := time.Duration(0); ctx.Err() == nil; {
		if l.subscribe(ctx) {
			wait = 0
		}
		wait = min(max(firstWait, 2*wait), lastWait)
		select {
		case <-ctx.Done():
		case <-l.again:
		case <-time.After(wait):
		}
	}
}

// subscribe hears messages until the connection is lost. It reports whether
// there was one.
func (l *listener) subscribe(ctx context.Context) bool {
	s := l.store
	c, release := l.client.Dedicate()
	defer release()
	lost := c.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(got rueidis.PubSubMessage) {
		m, ok := readMessage(got.Message)
		switch {
		case !ok:
		case m.replica != s.id:
			s.heard(m)
		case m.what == newsBeat:
			l.lastHeard.Store(int64(time.Since(s.started)))
		}
	}})
	subscribing, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := c.Do(subscribing, c.B().Subscribe().Channel(s.channel()).Build()).Error(); err != nil {
		c.Close()
		l.tried(fmt.Errorf("what other replicas say cannot be heard: %w", plain(err)))
		return false
	}
	l.lastHeard.Store(int64(time.Since(s.started)))
	if err := s.missed(subscribing, l.client); err != nil {
		c.Close()
		l.tried(plain(err))
		return false
	}
	l.tried(nil)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-lost: //nolint:errcheck // whatever it was, it is lost
			return true
		case <-tick.C:
			if time.Duration(l.lastSent.Load()-l.lastHeard.Load()) < deaf {
				continue
			}
		}
		c.Close() // not given back: it is subscribed
		return true
	}
}
