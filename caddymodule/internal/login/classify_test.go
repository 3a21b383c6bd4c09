package login

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

func TestCallResult(t *testing.T) {
	status := func(op exchange.Op, status int, code string) error {
		return fmt.Errorf("x: %w", &exchange.StatusError{Op: op, Status: status, Code: code})
	}
	for _, c := range []struct {
		name string
		op   exchange.Op
		err  error
		want exchange.CallResult
	}{
		{"success", exchange.OpSignIn, nil, exchange.CallOK},
		{"an unknown user", exchange.OpSignIn, status(exchange.OpSignIn, 403, ""), exchange.CallRefused},
		{"a blocked user", exchange.OpSignUp, status(exchange.OpSignUp, 403, "100015"), exchange.CallRefused},
		{"a user with a wrong password", exchange.OpSignIn, status(exchange.OpSignIn, 400, "100012"), exchange.CallRefused},
		{"our deployment", exchange.OpSignUp, status(exchange.OpSignUp, 403, "100004"), exchange.CallConfig},
		{"a wrong request, as a 403", exchange.OpSignIn, status(exchange.OpSignIn, 403, "100003"), exchange.CallRejected},
		{"gave up on the request", exchange.OpSignIn, status(exchange.OpSignIn, 408, ""), exchange.CallError},
		{"a user who exists", exchange.OpSignUp, status(exchange.OpSignUp, 400, codeUserExists), exchange.CallRefused},
		{"a conflict", exchange.OpSignUp, status(exchange.OpSignUp, 409, ""), exchange.CallRefused},
		{"our secret", exchange.OpSignIn, status(exchange.OpSignIn, 401, ""), exchange.CallConfig},
		{"our project", exchange.OpSignIn, status(exchange.OpSignIn, 403, "100001"), exchange.CallConfig},
		{"our client", exchange.OpSignUp, status(exchange.OpSignUp, 400, "100002"), exchange.CallConfig},
		{"our secret, and the user exists", exchange.OpSignUp, status(exchange.OpSignUp, 401, codeUserExists), exchange.CallConfig},
		{"a wrong request", exchange.OpConsent, status(exchange.OpConsent, 422, ""), exchange.CallRejected},
		{"too many calls", exchange.OpSignIn, status(exchange.OpSignIn, 429, ""), exchange.CallLimited},
		{"down", exchange.OpSignIn, status(exchange.OpSignIn, 500, ""), exchange.CallError},
		{"down, with a code that is not believed", exchange.OpSignUp, status(exchange.OpSignUp, 502, codeUserExists), exchange.CallError},
		{"a redirect", exchange.OpSignIn, status(exchange.OpSignIn, 307, ""), exchange.CallBadResponse},
		{"no response in time", exchange.OpSignUp, &exchange.TransportError{Op: exchange.OpSignUp, Sent: true, Timeout: true, Err: context.DeadlineExceeded}, exchange.CallTimeout},
		{"no connection", exchange.OpSignIn, &exchange.TransportError{Op: exchange.OpSignIn, Err: errors.New("refused")}, exchange.CallUnreachable},
		{"a broken connection", exchange.OpSignUp, &exchange.TransportError{Op: exchange.OpSignUp, Sent: true, Err: errors.New("reset")}, exchange.CallUnreachable},
	} {
		if got := CallResult(c.op, c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
