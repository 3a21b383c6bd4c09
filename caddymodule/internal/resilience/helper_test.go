package resilience

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errDown    = &exchange.StatusError{Op: exchange.OpSignIn, Status: 503}
	errRefused = &exchange.StatusError{Op: exchange.OpSignIn, Status: 403}
	errLimited = &exchange.StatusError{Op: exchange.OpSignIn, Status: 429}
	errNoConn  = &exchange.TransportError{Op: exchange.OpSignIn, Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
	errTimeout = &exchange.TransportError{Op: exchange.OpSignIn, Sent: true, Timeout: true, Err: context.DeadlineExceeded}
	errLeft    = &exchange.TransportError{Op: exchange.OpSignIn, Sent: true, Err: context.Canceled}
)

// testBreaker opens after 4 consecutive failures, for 5 s.
var testBreaker = BreakerSettings{Failures: 4, Open: 5 * time.Second}

// hang simulates a call to a service that accepts the connection and never responds.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return &exchange.TransportError{
		Op: exchange.OpSignIn, Sent: true, Err: ctx.Err(),
		Timeout: errors.Is(ctx.Err(), context.DeadlineExceeded),
	}
}

// fail returns a call that fails with err at once.
func fail(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// after returns a call that fails with err after a while.
func after(wait time.Duration, err error) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(wait)
		return err
	}
}

// users counts the calls of all tests.
var users atomic.Int64

// anotherUser returns limits for a user who has not called before.
func anotherUser() Limits { return Limits{User: fmt.Sprint("user", users.Add(1))} }

// calls makes n calls, one after the other, each for another user.
func calls(t *testing.T, g *Client, n int, call func(context.Context) error) {
	t.Helper()
	for range n {
		_ = g.Do(t.Context(), anotherUser(), call)
	}
}

// opened returns a Client whose breaker is open and whose open time has just passed.
func opened(t *testing.T, s Settings) *Client {
	t.Helper()
	g := New(s)
	calls(t, g, s.Breaker.Failures, fail(errDown))
	wantRetryAfter(t, g, s.Breaker.Open)
	time.Sleep(s.Breaker.Open)
	return g
}

// wantRetryAfter fails unless the breaker refuses a call with this RetryAfter.
func wantRetryAfter(t *testing.T, g *Client, want time.Duration) {
	t.Helper()
	if open := wantOpen(t, g); open.RetryAfter != want {
		t.Errorf("RetryAfter = %v, want %v", open.RetryAfter, want)
	}
}

// wantOpen fails unless the breaker refuses a call, and returns its error.
func wantOpen(t *testing.T, g *Client) *exchange.BreakerOpenError {
	t.Helper()
	err := g.Do(t.Context(), Limits{Retries: 3}, func(context.Context) error {
		t.Error("a call was made")
		return nil
	})
	var open *exchange.BreakerOpenError
	if !errors.As(err, &open) || !g.BreakerOpen() {
		t.Fatalf("Do = %v, BreakerOpen = %v; want the breaker open", err, g.BreakerOpen())
	}
	return open
}

// wantClosed fails unless a call is made and its error is returned.
func wantClosed(t *testing.T, g *Client) {
	t.Helper()
	if err := g.Do(t.Context(), Limits{}, fail(errRefused)); err != error(errRefused) || g.BreakerOpen() {
		t.Fatalf("Do = %v, BreakerOpen = %v; want the breaker closed", err, g.BreakerOpen())
	}
}

// wantStillClosed fails if the breaker is open. Unlike wantClosed it does not end a
// series of failures.
func wantStillClosed(t *testing.T, g *Client) {
	t.Helper()
	if g.BreakerOpen() {
		t.Fatal("the breaker is open")
	}
}
