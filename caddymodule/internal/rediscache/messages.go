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

// message is published by a replica after an eviction: a user of an account was
// evicted, or all users if user is empty. Its text is the version and the three fields,
// separated by spaces.
type message struct {
	replica string
	account string // the account's name in keys
	user    exchange.UserKey
}

// String returns the text of the message.
func (m message) String() string {
	return strings.Join([]string{messageVersion, m.replica, m.account, keyOf(m.user)}, " ")
}

// readMessage parses a message. It reports false for any other text, and for a message
// of another version.
func readMessage(text string) (m message, ok bool) {
	words := strings.Split(text, " ")
	if len(words) != 4 {
		return m, false
	}
	user, err := base64.RawURLEncoding.DecodeString(words[3])
	m = message{replica: words[1], account: words[2], user: exchange.UserKey(user)}
	// The text is compared, because the decoder ignores line breaks, for example.
	return m, err == nil && len(m.replica) == nameLen && len(m.account) == nameLen && m.String() == text
}

// channel returns the name of the Pub/Sub channel. In a cluster it is the same for all
// nodes.
func (s *Store) channel() string { return s.config.KeyPrefix + "news" }

// handleMessage applies a message of another replica. For a user, it drops only tokens.
// Cached refusals stay until they expire.
func (s *Store) handleMessage(text string) {
	if m, ok := readMessage(text); ok && m.replica != s.id {
		s.notifyMembers(m.account, m.user, nil)
	}
}

// subscribe subscribes to messages on a separate connection. lost is closed when the
// subscription has ended. Messages sent after that are lost; for this case the engine
// limits the age of records in memory.
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
		return closed, fmt.Errorf("subscribe to the evictions of other replicas: %w", redactError(err))
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = recoverPanic(func() error { return s.receive(ctx, sub) })
		_ = sub.Close()
	}()
	return ended, nil
}

// receive handles messages until the connection fails. If nothing arrives for
// connectTimeout, it sends a PING. If nothing arrives for connectTimeout after that,
// the connection has failed.
func (s *Store) receive(ctx context.Context, sub *redis.PubSub) error {
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	for pinged := false; ; {
		got, err := sub.ReceiveTimeout(ctx, connectTimeout)
		var timeout net.Error
		switch {
		case err == nil:
		case !errors.As(err, &timeout) || !timeout.Timeout() || pinged:
			return err
		default:
			err = sub.Ping(ctx)
		}
		if err != nil {
			return err
		}
		pinged = got == nil
		if m, ok := got.(*redis.Message); ok {
			s.handleMessage(m.Payload)
		}
	}
}
