package redisserver

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// commandTimeout is the timeout of a command, including the connection.
const commandTimeout = 10 * time.Second

// Do sends a command on a new connection and returns the reply: a string, an int64,
// nil, or a []any of these. An error reply is a redis.Error. The timeout is 10 s.
func (s *Server) Do(ctx context.Context, args ...string) (any, error) {
	return s.Auth(ctx, "", args...)
}

// Auth is Do after AUTH with the password of the default user.
func (s *Server) Auth(ctx context.Context, password string, args ...string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	client := redis.NewClient(&redis.Options{
		Addr:                  s.Addr(),
		Password:              password,
		Protocol:              2,
		DisableIdentity:       true,
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		ReadTimeout:           commandTimeout,
	})
	defer func() { _ = client.Close() }()
	words := make([]any, len(args))
	for i, arg := range args {
		words[i] = arg
	}
	reply, err := client.Do(ctx, words...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return reply, err
}
