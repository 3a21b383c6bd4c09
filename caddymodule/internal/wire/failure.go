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

// retryAfter parses a Retry-After header: seconds or a date. It returns 0 if the value
// is neither or in the past. There is no maximum; the caller decides which delay is too
// long.
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

// transportError converts the error of a call without a complete response.
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

// errNoConnection means that the deadline passed before there was a connection.
var errNoConnection = fmt.Errorf("cannot connect to the service: %w", context.DeadlineExceeded)

// maxRequestID is the maximum length of a request id in bytes.
const maxRequestID = 128

// RequestID returns the first valid id: one word of plain ASCII characters, at most 128
// bytes. Any other text of a service must not get into logs. It returns "" if no id is
// valid.
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
