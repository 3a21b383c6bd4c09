package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

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

// TestSignUpResults checks that each sign-up is reported once, with the result of the
// sign-up itself and not with what a later sign-in shows.
func TestSignUpResults(t *testing.T) {
	for _, c := range []struct {
		name      string
		responses []string
		off       bool
		limited   bool
		want      []SignUpResult
	}{
		{name: "a known user", responses: []string{ok200}},
		{name: "registration is off", responses: []string{unknown}, off: true},
		{name: "created", responses: []string{unknown, ok200}, want: []SignUpResult{SignUpCreated}},
		{name: "created, without a token", responses: []string{unknown, noToken, ok200}, want: []SignUpResult{SignUpCreated}},
		{name: "created, not seen yet", responses: []string{unknown, noToken, unknown}, want: []SignUpResult{SignUpCreated}},
		{name: "exists", responses: []string{unknown, exists, ok200}, want: []SignUpResult{SignUpExists}},
		{name: "a conflict", responses: []string{unknown, conflict, unknown}, want: []SignUpResult{SignUpExists}},
		{name: "refused", responses: []string{unknown, refused}, want: []SignUpResult{SignUpRefused}},
		{name: "reset", responses: []string{unknown, reset, unknown}, want: []SignUpResult{SignUpUnclear}},
		{name: "reset, and the user is there", responses: []string{unknown, reset, ok200}, want: []SignUpResult{SignUpUnclear}},
		{name: "garbage", responses: []string{unknown, html, ok200}, want: []SignUpResult{SignUpUnclear}},
		{name: "down", responses: []string{unknown, down, unknown}, want: []SignUpResult{SignUpUnclear}},
		{name: "no connection", responses: []string{unknown, noConn}, want: []SignUpResult{SignUpFailed}},
		{name: "breaker open", responses: []string{unknown, open}, want: []SignUpResult{SignUpFailed}},
		{name: "wrong", responses: []string{unknown, wrong}, want: []SignUpResult{SignUpFailed}},
		{name: "our credentials", responses: []string{unknown, badIDs}, want: []SignUpResult{SignUpFailed}},
		{name: "rate limit", responses: []string{unknown}, limited: true, want: []SignUpResult{SignUpLimited}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []SignUpResult
			l := &Exchange{
				Huma: &script{responses: c.responses}, Registrations: NewRegistrations(), User: "u",
				Registration: Registration{
					Off: c.off, Hold: time.Minute, Allow: func() bool { return !c.limited },
					OnResult: func(r SignUpResult) { got = append(got, r) },
				},
			}
			_, _, _ = l.Run(t.Context())
			if !slices.Equal(got, c.want) {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a panic", func(t *testing.T) {
		var got []SignUpResult
		l := &Exchange{Huma: panicHuma{}, Registrations: NewRegistrations(), User: "u", Registration: Registration{
			Hold: time.Minute, Allow: func() bool { return true }, OnResult: func(r SignUpResult) { got = append(got, r) },
		}}
		func() {
			defer func() { _ = recover() }()
			_, _, _ = l.Run(t.Context())
		}()
		if !slices.Equal(got, []SignUpResult{SignUpUnclear}) {
			t.Errorf("reported %q", got)
		}
	})
}
