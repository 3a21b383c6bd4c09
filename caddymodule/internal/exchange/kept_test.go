package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallResultOf(t *testing.T) {
	status := func(op Op, status int, code string) error {
		return fmt.Errorf("x: %w", &StatusError{Op: op, Status: status, Code: code, Definite: IsConnectCode(code)})
	}
	for _, c := range []struct {
		name string
		op   Op
		err  error
		want CallResult
	}{
		{"success", OpSignIn, nil, CallOK},
		{"an unknown user", OpSignIn, status(OpSignIn, 403, ""), CallRefused},
		{"a blocked user", OpSignUp, status(OpSignUp, 403, "100015"), CallRefused},
		{"a user with a wrong password", OpSignIn, status(OpSignIn, 400, "100012"), CallRefused},
		{"our deployment", OpSignUp, status(OpSignUp, 403, "100004"), CallConfig},
		{"a wrong request, as a 403", OpSignIn, status(OpSignIn, 403, "100003"), CallRejected},
		{"gave up on the request", OpSignIn, status(OpSignIn, 408, ""), CallError},
		{"a user who exists", OpSignUp, status(OpSignUp, 400, codeUserExists), CallRefused},
		{"a conflict", OpSignUp, status(OpSignUp, 409, ""), CallRefused},
		{"no session any more", OpSession, status(OpSession, 403, codeSessionNotAllowed), CallRefused},
		{"no session, without a code", OpSession, status(OpSession, 403, ""), CallRefused},
		{"no session, said with a 5xx", OpSession, status(OpSession, 503, codeSessionNotAllowed), CallRefused},
		{"no id token yet", OpID, status(OpID, 404, codeUnknownUser), CallRefused},
		{"no id token, without a code", OpID, status(OpID, 404, ""), CallRefused},
		{"a code of the other type", OpSession, status(OpSession, 400, codeIDNotAllowed), CallRefused},
		{"our secret", OpSignIn, status(OpSignIn, 401, ""), CallConfig},
		{"our project", OpSignIn, status(OpSignIn, 403, "100001"), CallConfig},
		{"our client", OpSignUp, status(OpSignUp, 400, "100002"), CallConfig},
		{"our client at Human API", OpID, status(OpID, 503, "INVALID_CLIENT_ID"), CallConfig},
		{"our secret, and the user exists", OpSignUp, status(OpSignUp, 401, codeUserExists), CallConfig},
		{"a wrong request", OpConsent, status(OpConsent, 422, ""), CallRejected},
		{"a wrong type", OpSession, status(OpSession, 403, "INVALID_TOKEN_TYPE"), CallRejected},
		{"no such path", OpSession, status(OpSession, 404, ""), CallRejected},
		{"too many calls", OpSignIn, status(OpSignIn, 429, ""), CallLimited},
		{"too many calls at Human API", OpID, status(OpID, 429, ""), CallLimited},
		{"down", OpSignIn, status(OpSignIn, 500, ""), CallError},
		{"down, with a code that is not believed", OpSignUp, status(OpSignUp, 502, codeUserExists), CallError},
		{"a redirect", OpSignIn, status(OpSignIn, 307, ""), CallBadResponse},
		{"garbage", OpSession, &AnswerError{Op: OpSession}, CallBadResponse},
		{"no answer in time", OpSignUp, &TransportError{Op: OpSignUp, Sent: true, Timeout: true, Err: context.DeadlineExceeded}, CallTimeout},
		{"no connection in time", OpID, &TransportError{Op: OpID, Timeout: true, Err: context.DeadlineExceeded}, CallUnreachable},
		{"no connection", OpSignIn, &TransportError{Op: OpSignIn, Err: errors.New("refused")}, CallUnreachable},
		{"a broken connection", OpSignUp, &TransportError{Op: OpSignUp, Sent: true, Err: errors.New("reset")}, CallUnreachable},
	} {
		if got := CallResultOf(c.op, c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestSignUpResults: each sign-up is told of once, by what the service said to
// it and not by what sign-in found out later.
func TestSignUpResults(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		off     bool
		brake   bool
		want    []SignUpResult
	}{
		"a known user":                 {answers: []string{ok200}},
		"registration is off":          {answers: []string{unknown}, off: true},
		"created":                      {answers: []string{unknown, ok200}, want: []SignUpResult{SignUpCreated}},
		"created, without a token":     {answers: []string{unknown, noToken, ok200}, want: []SignUpResult{SignUpCreated}},
		"created, not seen yet":        {answers: []string{unknown, noToken, unknown}, want: []SignUpResult{SignUpCreated}},
		"exists":                       {answers: []string{unknown, exists, ok200}, want: []SignUpResult{SignUpExists}},
		"a conflict":                   {answers: []string{unknown, conflict, unknown}, want: []SignUpResult{SignUpExists}},
		"refused":                      {answers: []string{unknown, refused}, want: []SignUpResult{SignUpRefused}},
		"reset":                        {answers: []string{unknown, reset, unknown}, want: []SignUpResult{SignUpUnclear}},
		"reset, and the user is there": {answers: []string{unknown, reset, ok200}, want: []SignUpResult{SignUpUnclear}},
		"garbage":                      {answers: []string{unknown, html, ok200}, want: []SignUpResult{SignUpUnclear}},
		"down":                         {answers: []string{unknown, down, unknown}, want: []SignUpResult{SignUpUnclear}},
		"no connection":                {answers: []string{unknown, noConn}, want: []SignUpResult{SignUpFailed}},
		"breaker open":                 {answers: []string{unknown, open}, want: []SignUpResult{SignUpFailed}},
		"wrong":                        {answers: []string{unknown, wrong}, want: []SignUpResult{SignUpFailed}},
		"our credentials":              {answers: []string{unknown, badIDs}, want: []SignUpResult{SignUpFailed}},
		"the brake":                    {answers: []string{unknown}, brake: true, want: []SignUpResult{SignUpLimited}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []SignUpResult
			l := &Login{
				Huma: &script{answers: c.answers}, Registrations: NewRegistrations(), User: "u",
				Registration: Registration{
					Off: c.off, Hold: time.Minute, Allow: func() bool { return !c.brake },
					Ended: func(r SignUpResult) { got = append(got, r) },
				},
			}
			_, _, _ = l.Mint(t.Context())
			if !slices.Equal(got, c.want) {
				t.Errorf("told of %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a panic", func(t *testing.T) {
		var got []SignUpResult
		l := &Login{Huma: panicHuma{}, Registrations: NewRegistrations(), User: "u", Registration: Registration{
			Hold: time.Minute, Allow: func() bool { return true }, Ended: func(r SignUpResult) { got = append(got, r) },
		}}
		func() {
			defer func() { _ = recover() }()
			_, _, _ = l.Mint(t.Context())
		}()
		if !slices.Equal(got, []SignUpResult{SignUpUnclear}) {
			t.Errorf("told of %q", got)
		}
	})
}

// TestKept: what needed no exchange is told from what did, also if that found
// the token elsewhere.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		refusal := &Error{Code: CodeRefused}
		b.mint = func(_ context.Context, call int64) (*Grant, Outcome, error) {
			if call == 3 {
				return nil, "", refusal
			}
			return token(call), OutcomeSignedIn, nil
		}
		for _, c := range []struct {
			user  UserKey
			fresh bool
			kept  bool
		}{
			{"u", false, false},
			{"u", false, true},
			{"u", true, false},
			{"u", true, true},
			{"refused", false, false},
			{"refused", false, true},
		} {
			if r := b.get(t.Context(), c.user, "ios", c.fresh); r.Kept != c.kept {
				t.Errorf("%+v: %+v", c, r)
			}
		}
		b.policy.Cache = nil
		if r := b.get(t.Context(), "u", "ios", false); r.Kept {
			t.Errorf("without a cache: %+v", r)
		}
	})
}

// TestKeptElsewhere: another replica's token is none of this one's memory.
func TestKeptElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSharedStore()
		here, there := store.replica(), store.replica()
		there.get(t.Context(), "u", "ios", false)
		for _, kept := range []bool{false, true} {
			if r := here.get(t.Context(), "u", "ios", false); r.Outcome != OutcomeHit || r.Kept != kept {
				t.Errorf("%+v, want kept %v", r, kept)
			}
		}
	})
}
