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

const messageVersion = "1"

// message is what replicas tell each other: a user of an account was evicted, or
// without a user all of them. Its text is the version and the three fields, with a
// space between.
type message struct {
	replica string
	account string // its name in keys
	user    exchange.UserKey
}

// String is the message as it is sent.
func (m message) String() string {
	return strings.Join([]string{messageVersion, m.replica, m.account, keyOf(m.user)}, " ")
}

// readMessage reads a message. What is none, or one of another version, is
// nothing to act on.
func readMessage(text string) (m message, ok bool) {
	words := strings.Split(text, " ")
	if len(words) != 4 {
		return m, false
	}
	user, err := base64.RawURLEncoding.DecodeString(words[3])
	m = message{replica: words[1], account: words[2], user: exchange.UserKey(user)}
	// The text is compared, because the decoder passes over line breaks, for one.
	return m, err == nil && len(m.replica) == nameLen && len(m.account) == nameLen && m.String() == text
}

// channel is the name under which messages are sent. In a cluster it is the
// same for all nodes.
func (s *Store) channel() string { return s.config.KeyPrefix + "news" }

// handleMessage acts on a message of another replica. Of a user tokens alone are dropped: a
// refusal is repeated here for as long as it would have been.
func (s *Store) handleMessage(text string) {
	if m, ok := readMessage(text); ok && m.replica != s.id {
		s.notifyMembers(m.account, m.user, nil)
	}
}

// subscribe begins to hear messages, on a connection of its own. lost is closed when
// that has ended. A message that is lost then is what the age of records in memory is
// bounded for.
func (s *Store) subscribe(ctx context.Context, c redis.UniversalClient) (lost <-chan struct{}, err error) {
	var sub *redis.PubSub
	err = recoverPanic(func() error {
		sub = c.Subscribe(ctx, s.channel())
		confirmed, err := sub.ReceiveTimeout(ctx, connectTimeout)
		if _, ok := confirmed.(*redis.Subscription); err == nil && !ok {
			return errUnexpectedReply
		}
		return err
	})
	if err != nil {
		if sub != nil {
			_ = sub.Close()
		}
		return closed, fmt.Errorf("what other replicas say cannot be heard: %w", redactError(err))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = recoverPanic(func() error { return s.receive(ctx, sub) })
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
			s.handleMessage(m.Payload)
		}
	}
}
