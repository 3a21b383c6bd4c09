package resilience

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

var (
	errDown    = &exchange.StatusError{Op: exchange.OpSignIn, Status: 503}
	errRefused = &exchange.StatusError{Op: exchange.OpSignIn, Status: 403}
	errLimited = &exchange.StatusError{Op: exchange.OpSignIn, Status: 429}
	errNoConn  = &exchange.TransportError{Op: exchange.OpSignIn, Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
	errLeft    = &exchange.TransportError{Op: exchange.OpSignIn, Sent: true, Err: context.Canceled}
)

// testBreaker opens after 4 of 4 or more, half of them outages, for 5 s.
var testBreaker = BreakerSettings{Ratio: 0.5, Requests: 4, Window: 10 * time.Second, Open: 5 * time.Second}

// hang is a service that accepts and never answers, as a client reports it.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return &exchange.TransportError{
		Op: exchange.OpSignIn, Sent: true, Err: ctx.Err(),
		Timeout: errors.Is(ctx.Err(), context.DeadlineExceeded),
	}
}

// fail is a service that answers err at once.
func fail(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// calls makes n calls, one after the other.
func calls(t *testing.T, g *Guard, n int, call func(context.Context) error) {
	t.Helper()
	for range n {
		_ = g.Do(t.Context(), Limits{}, call)
	}
}

// wantOpen fails unless the breaker refuses a call, and returns its error.
func wantOpen(t *testing.T, g *Guard) *exchange.OpenError {
	t.Helper()
	err := g.Do(t.Context(), Limits{Retries: 3}, func(context.Context) error {
		t.Error("a call was made")
		return nil
	})
	var open *exchange.OpenError
	if !errors.As(err, &open) || !g.BreakerOpen() {
		t.Fatalf("Do = %v, BreakerOpen = %v; want the breaker open", err, g.BreakerOpen())
	}
	return open
}

// wantClosed fails unless a call is made and its error returned.
func wantClosed(t *testing.T, g *Guard) {
	t.Helper()
	if err := g.Do(t.Context(), Limits{}, fail(errRefused)); err != error(errRefused) || g.BreakerOpen() {
		t.Fatalf("Do = %v, BreakerOpen = %v; want the breaker closed", err, g.BreakerOpen())
	}
}

// changes collects what OnBreaker is told.
type changes struct {
	mu   sync.Mutex
	seen []bool
}

func (c *changes) told(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, open)
}

func (c *changes) all() []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]bool(nil), c.seen...)
}
