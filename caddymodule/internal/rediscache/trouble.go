package rediscache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// trouble is what an error says about the store.
type trouble uint8

const (
	troubleNone   trouble = iota // it answers
	troubleWrites                // it answers, and takes no writes
	troubleAll                   // it does not serve us
	troubleLink                  // no answer, or no connection: of it, of the way to it, or ours
)

// refusals are the first words of a server's errors by which it does not serve.
var refusals = map[string]trouble{
	"READONLY":    troubleWrites, // a replica
	"OOM":         troubleWrites, // full
	"MISCONF":     troubleWrites, // cannot save to disk
	"NOREPLICAS":  troubleWrites, // fewer replicas than it is told to need
	"LOADING":     troubleAll,
	"BUSY":        troubleAll, // with somebody's endless script
	"MASTERDOWN":  troubleAll,
	"CLUSTERDOWN": troubleAll,
	"TRYAGAIN":    troubleAll,
	"MOVED":       troubleAll, // again and again
	"ASK":         troubleAll,
	"NOAUTH":      troubleAll,
	"WRONGPASS":   troubleAll,
	"NOPERM":      troubleAll,
	"NOPROTO":     troubleAll,
	"UNBLOCKED":   troubleAll,
}

// troubleOf says what an error of an operation means.
func troubleOf(err error, write bool) trouble {
	if err == nil || rueidis.IsRedisNil(err) {
		return troubleNone
	}
	answer, ok := rueidis.IsRedisErr(err)
	if !ok {
		return troubleLink
	}
	word := firstWord(answer.Error())
	t, ok := refusals[word]
	switch {
	case !ok && word == "ERR":
		t = inScript(answer.Error())
	case word == "NOPERM" && write:
		t = troubleWrites // reading may be allowed
	}
	return t
}

// inScript looks for the error inside a script's: before version 7 a server
// says no more of it than the text.
func inScript(text string) trouble {
	if strings.HasPrefix(text, "ERR max number of clients") {
		return troubleAll
	}
	for word, t := range refusals {
		if strings.Contains(text, "-"+word+" ") {
			return t
		}
	}
	return troubleNone
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// downError is why operations are not tried.
type downError struct{ reason error }

func (e *downError) Error() string { return fmt.Sprintf("%v: %v", exchange.ErrDown, e.reason) }

func (e *downError) Unwrap() []error { return []error{exchange.ErrDown, e.reason} }

var (
	errClosed  = errors.New("closed")
	errStarts  = errors.New("not connected yet")
	errBusy    = errors.New("redis: too many operations at once")
	errTimeout = errors.New("no answer in time")
	errSlow    = errors.New("answers take longer than the timeout")

	errForgotten = errors.New("it does not know yet that the user was forgotten")
)

// plain is an error as others may see it. A server's words are passed on
// without what it repeats of ours: some repeat the command they do not know,
// which may be the one with the password.
func plain(err error) error {
	if err == nil {
		return nil
	}
	answer, ok := rueidis.IsRedisErr(err)
	switch {
	case ok:
		text, _, _ := strings.Cut(answer.Error(), ", with args")
		if strings.Contains(text, "AUTH") && firstWord(text) == "ERR" {
			text = "ERR the username or password is not what the server wants"
		}
		return errors.New("redis: " + text)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("redis: %w", errTimeout)
	}
	return fmt.Errorf("redis: %w", err)
}
