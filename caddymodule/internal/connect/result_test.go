package connect

import (
	"context"
	"fmt"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestCallResult(t *testing.T) {
	status := func(op exchange.Op, status int, code string) error {
		return fmt.Errorf("x: %w", &exchange.StatusError{Op: op, Status: status, Code: code, Definite: IsErrorCode(code)})
	}
	for _, c := range []struct {
		name string
		op   exchange.Op
		err  error
		want exchange.CallResult
	}{
		{"success", exchange.OpID, nil, exchange.CallOK},
		{"no session any more", exchange.OpSession, status(exchange.OpSession, 403, codeSessionNotAllowed), exchange.CallRefused},
		{"no session, without a code", exchange.OpSession, status(exchange.OpSession, 403, ""), exchange.CallRefused},
		{"no session, said with a 5xx", exchange.OpSession, status(exchange.OpSession, 503, codeSessionNotAllowed), exchange.CallRefused},
		{"no id token yet", exchange.OpID, status(exchange.OpID, 404, codeUnknownUser), exchange.CallRefused},
		{"no id token, without a code", exchange.OpID, status(exchange.OpID, 404, ""), exchange.CallRefused},
		{"a code of the other type", exchange.OpSession, status(exchange.OpSession, 400, codeIDNotAllowed), exchange.CallRefused},
		{"our client at Human API", exchange.OpID, status(exchange.OpID, 503, "INVALID_CLIENT_ID"), exchange.CallConfig},
		{"a wrong type", exchange.OpSession, status(exchange.OpSession, 403, "INVALID_TOKEN_TYPE"), exchange.CallRejected},
		{"no such path", exchange.OpSession, status(exchange.OpSession, 404, ""), exchange.CallRejected},
		{"too many calls at Human API", exchange.OpID, status(exchange.OpID, 429, ""), exchange.CallLimited},
		{"garbage", exchange.OpSession, &exchange.ResponseError{Op: exchange.OpSession}, exchange.CallBadResponse},
		{"no connection in time", exchange.OpID, &exchange.TransportError{Op: exchange.OpID, Timeout: true, Err: context.DeadlineExceeded}, exchange.CallUnreachable},
	} {
		if got := CallResult(c.op, c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
