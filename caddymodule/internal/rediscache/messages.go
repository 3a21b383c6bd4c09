package rediscache

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// What messages are about.
const (
	evictUser    = "evict"
	flushAccount = "flush"
)

const messageVersion = "1"

// message is what replicas tell each other. Its text is words with a space
// between: version, replica, what, account, and the user whom it is about.
type message struct {
	replica string
	what    string
	account string // its name in keys
	user    exchange.UserKey
}

// String is the message as it is sent.
func (m message) String() string {
	words := []string{messageVersion, m.replica, m.what, m.account}
	if m.what == evictUser {
		words = append(words, keyOf(m.user))
	}
	return strings.Join(words, " ")
}

// readMessage reads a message. What is none, or one of another version, is
// nothing to act on.
func readMessage(text string) (m message, ok bool) {
	words := strings.Split(text, " ")
	if len(words) < 4 || words[0] != messageVersion || len(words[1]) != nameLen || len(words[3]) != nameLen {
		return message{}, false
	}
	m = message{replica: words[1], what: words[2], account: words[3]}
	switch {
	case m.what == flushAccount && len(words) == 4:
		return m, true
	case m.what == evictUser && len(words) == 5:
		user, err := base64.RawURLEncoding.Strict().DecodeString(words[4])
		m.user = exchange.UserKey(user)
		// Compared, because the decoder passes over line breaks.
		return m, err == nil && keyOf(m.user) == words[4]
	}
	return message{}, false
}

// channel is the name under which messages are sent. In a cluster it is the
// same for all nodes.
func (s *Store) channel() string { return s.config.KeyPrefix + "news" }

// heard acts on a message of another replica. Tokens alone are dropped: a refusal
// is repeated here for as long as it would have been.
func (s *Store) heard(text string) {
	m, ok := readMessage(text)
	switch {
	case !ok || m.replica == s.id:
	case m.what == flushAccount:
		s.tell(m.account, nil, exchange.Forgetter.Flush)
	default:
		s.tell(m.account, nil, func(f exchange.Forgetter) { f.ForgetTokens(m.user) })
	}
}

// subscribe begins to hear messages, on a connection of its own. lost is closed when
// that has ended. A message that is lost then is what the age of records in memory is
// bounded for.
func (s *Store) subscribe(ctx context.Context, c redis.UniversalClient) (lost <-chan struct{}, err error) {
	var sub *redis.PubSub
	err = safely(func() error {
		sub = c.Subscribe(ctx, s.channel())
		confirmed, err := sub.ReceiveTimeout(ctx, connectTimeout)
		if _, ok := confirmed.(*redis.Subscription); err == nil && !ok {
			return errNonsense
		}
		return err
	})
	if err != nil {
		if sub != nil {
			_ = sub.Close()
		}
		return closed, fmt.Errorf("what other replicas say cannot be heard: %w", plain(err))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = safely(func() error { return s.receive(ctx, sub) })
		_ = sub.Close()
	}()
	return ended, nil
}

// receive hears messages until that fails. A connection on which nothing comes is
// asked for an answer.
func (s *Store) receive(ctx context.Context, sub *redis.PubSub) error {
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	for asked := false; ; {
		got, err := sub.ReceiveTimeout(ctx, connectTimeout)
		var timeout net.Error
		switch {
		case err == nil:
		case !errors.As(err, &timeout) || !timeout.Timeout() || asked:
			return err
		default:
			err = sub.Ping(ctx)
		}
		if err != nil {
			return err
		}
		asked = got == nil
		if m, ok := got.(*redis.Message); ok {
			s.heard(m.Payload)
		}
	}
}
