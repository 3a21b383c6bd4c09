package connect

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hintStore is a minimal store for the hints of one test. It deletes nothing.
type hintStore struct {
	exchange.Invalidator
	recs map[exchange.UserKey]exchange.Record
}

func newHints() Hints {
	return Hints{Store: hintStore{recs: make(map[exchange.UserKey]exchange.Record)}}
}

func (s hintStore) Get(u exchange.UserKey, _ exchange.Variant, now time.Time) (exchange.Record, bool) {
	r := s.recs[u]
	return r, now.Before(r.Until)
}

func (s hintStore) Put(u exchange.UserKey, _ exchange.Variant, r exchange.Record) { s.recs[u] = r }

// script is a Human API with a given response for each call.
type script struct {
	responses []string
	types     []string // the types that were requested
}

// Responses of a script. Others are a status, or a status and a code.
const (
	ok200   = "token"
	limited = "429"
	down    = "500"
	html    = "html"
	reset   = "reset"
	noConn  = "no connection"
	late    = "late"
	open    = "breaker open"
)

func (s *script) Token(_ context.Context, t TokenType, _ Person) (*exchange.Token, error) {
	s.types = append(s.types, string(t))
	if len(s.responses) == 0 {
		return nil, fmt.Errorf("unexpected call for a token of type %s", t)
	}
	a, op := s.responses[0], t.Op()
	s.responses = s.responses[1:]
	switch a {
	case ok200:
		return exchange.NewToken(time.Now()).Text("token", string(op)).Lifetime("expires_in", time.Hour).Token(), nil
	case html:
		return nil, &exchange.ResponseError{Op: op, Reason: "not JSON"}
	case reset:
		return nil, &exchange.TransportError{Op: op, Sent: true, Err: errors.New("connection reset")}
	case noConn:
		return nil, &exchange.TransportError{Op: op, Err: errors.New("connection refused")}
	case late:
		return nil, &exchange.TransportError{Op: op, Sent: true, Timeout: true, Err: context.DeadlineExceeded}
	case open:
		return nil, &exchange.BreakerOpenError{RetryAfter: 3 * time.Second}
	}
	e := &exchange.StatusError{Op: op}
	if _, err := fmt.Sscanf(a, "%d/%s", &e.Status, &e.Code); err != nil {
		_, _ = fmt.Sscanf(a, "%d", &e.Status)
	}
	e.Definite = IsErrorCode(e.Code)
	return nil, e
}
