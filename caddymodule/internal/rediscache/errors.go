package rediscache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// downError is returned for operations that are not tried, with the reason.
type downError struct{ reason error }

func (e *downError) Error() string { return fmt.Sprintf("%v: %v", exchange.ErrDown, e.reason) }

func (e *downError) Unwrap() []error { return []error{exchange.ErrDown, e.reason} }

var (
	errClosed       = errors.New("closed")
	errNotConnected = errors.New("not connected yet")
	errTimeout      = errors.New("timed out")
	errSlowServer   = errors.New("redis: responses take longer than the option timeout")
)

// isResponse reports whether the server has responded. An error reply is a response,
// too.
func isResponse(err error) bool {
	var reply redis.Error
	return err == nil || errors.As(err, &reply)
}

// isWrongType reports whether err says that a key holds a value of another type, which
// this package has not written.
func isWrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// redactError returns err without secrets, for logs and callers. It removes the parts
// of a server's error reply that repeat the command: some servers repeat an unknown
// command, which may be the one with the password.
func redactError(err error) error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	switch {
	case errors.As(err, &reply):
		text, _, _ := strings.Cut(reply.Error(), ", with args")
		if strings.Contains(text, "AUTH") && strings.HasPrefix(text, "ERR ") {
			text = "ERR wrong username or password"
		}
		return errors.New("redis: " + text)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("redis: %w", errTimeout)
	}
	if text := err.Error(); len(text) > maxLine { // the client's error repeats the reply that it cannot parse
		return errors.New("redis: " + strings.TrimPrefix(text[:maxLine], "redis: ") + "…")
	} else if strings.HasPrefix(text, "redis: ") {
		return err
	}
	return fmt.Errorf("redis: %w", err)
}
