package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/neterror"
)

// retryAfter reads a Retry-After header: seconds or a date. It is 0 for what
// is neither or lies in the past; how long is too long is the caller's matter.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > math.MaxInt64/int64(time.Second) {
			return math.MaxInt64
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// transportError says what became of a call without a whole answer.
func transportError(ctx context.Context, op exchange.Op, sent bool, err error) *exchange.TransportError {
	e := &exchange.TransportError{Op: op, Sent: sent}
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.Canceled):
		e.Err = context.Canceled
	case cause != nil:
		e.Err, e.Timeout = context.DeadlineExceeded, true
		if !sent {
			e.Err = errNoConnection
		}
	default:
		var timeout net.Error
		e.Timeout = errors.As(err, &timeout) && timeout.Timeout()
		e.Err = neterror.Plain("the service", sent, err)
	}
	return e
}

// errNoConnection is a call whose time was over before it had a connection.
var errNoConnection = fmt.Errorf("the service could not be reached: %w", context.DeadlineExceeded)

// maxRequestID is how long a service's id of a request may be.
const maxRequestID = 128

// RequestID returns the first id that is one word of plain characters and not
// too long: whatever else a service writes there gets into no log.
func RequestID(ids ...string) string {
	for _, id := range ids {
		if id != "" && len(id) <= maxRequestID && !strings.ContainsFunc(id, notPlain) {
			return id
		}
	}
	return ""
}

func notPlain(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._:-+/=", r))
}
