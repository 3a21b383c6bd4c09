package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// FirstWait is the wait before the first retry, with a jitter of 50 %. Later waits are
// longer. Tests of other packages shorten it.
var FirstWait = 100 * time.Millisecond

const (
	// maxWait is the longest wait between two retries.
	maxWait = time.Second

	// maxRetryAfter is the longest Retry-After of a service that is waited for. If it
	// is longer, the call is not retried; the caller gets the RetryAfter instead.
	maxRetryAfter = 2 * time.Second
)

// retry calls try once and up to retries times more. It returns the error of the last
// call that was made, even if a later try got no slot or found the breaker open. The
// service's error says more than that of a call that was not made.
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
		// A wait that would exceed the deadline is not started. The value is at least
		// 1, because 0 would mean no limit.
		options = append(options, backoff.WithMaxElapsedTime(max(1, time.Until(deadline))))
	}
	// The error of backoff is ignored: it may be a wrapper or the context's cause.
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

// isRetryable converts the error of a call for backoff: it marks an error that must not
// be retried, and adds the Retry-After.
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
