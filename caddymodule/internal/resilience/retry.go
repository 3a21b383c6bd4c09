package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// FirstWait is the wait between the first try and the second one, with a jitter of
// half of it. The next ones are longer. It is shorter in tests of others.
var FirstWait = 100 * time.Millisecond

const (
	// maxWait is the longest of them.
	maxWait = time.Second

	// maxRetryAfter is the longest wait that a service may ask for and get. A
	// caller is told of a longer one instead.
	maxRetryAfter = 2 * time.Second
)

// retry tries once and up to retries times more. It returns the error of the
// last call made, even if a later try got no slot or met an open breaker: what
// the service did is worth more than what we did not do.
func retry(ctx context.Context, retries int, try func() (made bool, err error)) error {
	var last error
	options := []backoff.RetryOption{
		backoff.WithMaxTries(uint(retries) + 1),
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval:     FirstWait,
			RandomizationFactor: 0.5,
			Multiplier:          2,
			MaxInterval:         maxWait * 2 / 3, // before jitter
		}),
	}
	if deadline, ok := ctx.Deadline(); ok {
		// A wait that would go past the deadline is not begun. Not less than
		// 1, because 0 would be without limit.
		options = append(options, backoff.WithMaxElapsedTime(max(1, time.Until(deadline))))
	}
	// backoff's own error may be a wrapper or the context's cause.
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		made, err := try()
		if made || last == nil {
			last = err
		}
		if !made {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, isRetryable(err)
	}, options...)
	return last
}

// isRetryable tells backoff what to make of a call's error.
func isRetryable(err error) error {
	if err == nil {
		return nil
	}
	if !exchange.IsTransient(err) {
		return backoff.Permanent(err)
	}
	var status *exchange.StatusError
	if errors.As(err, &status) && status.RetryAfter > 0 {
		if status.RetryAfter > maxRetryAfter {
			return backoff.Permanent(err)
		}
		return &backoff.RetryAfterError{Duration: status.RetryAfter}
	}
	return err
}
