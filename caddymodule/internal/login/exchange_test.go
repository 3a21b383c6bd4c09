package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// script is a Huma with a given response for each call.
type script struct {
	priority  []bool // for each call: whether it has priority
	mu        sync.Mutex
	responses []string
	calls     []string
}

// The responses of a script.
const (
	ok200     = "token"
	noToken   = "created, no token"
	unknown   = "403"
	exists    = "400/100010"
	conflict  = "409"
	refused   = "403/100015"
	badIDs    = "403/100001"
	badClient = "400/100002"
	unauth    = "401"
	wrong     = "400/100003"
	limited   = "429"
	down      = "500"
	moved     = "307"
	html      = "html"
	reset     = "reset"
	noConn    = "no connection"
	late      = "late"
	open      = "breaker open"
)

func (s *script) response(op exchange.Op) (*exchange.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, string(op))
	if len(s.responses) == 0 {
		return nil, fmt.Errorf("unexpected %s", op)
	}
	a := s.responses[0]
	s.responses = s.responses[1:]
	switch a {
	case ok200:
		return exchange.NewToken(time.Now()).Text("authToken", string(op)).Lifetime("expiresIn", time.Hour).Token(), nil
	case noToken:
		return nil, nil
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
	return nil, e
}

func (s *script) SignIn(ctx context.Context, _ Person) (*exchange.Token, error) {
	s.priority = append(s.priority, exchange.HasPriority(ctx))
	return s.response(exchange.OpSignIn)
}

func (s *script) SignUp(ctx context.Context, _ Person) (*exchange.Token, error) {
	s.priority = append(s.priority, exchange.HasPriority(ctx))
	return s.response(exchange.OpSignUp)
}

func (s *script) SignConsent(ctx context.Context, _ Person) error {
	s.priority = append(s.priority, exchange.HasPriority(ctx))
	_, err := s.response(exchange.OpConsent)
	return err
}

// TestLogin checks all the rules of Exchange. Each sign-up is reported once, with the result
// of the sign-up itself and not with that of a later sign-in.
func TestLogin(t *testing.T) {
	const in, up, consent = "sign in", "sign up", "sign consent"
	for _, c := range []struct {
		name      string
		responses []string
		off       bool // registration
		consent   bool
		limited   bool // the rate limit of sign-ups is used up
		calls     []string
		outcome   exchange.Outcome
		code      exchange.Code
		held      bool // afterwards
		reported  SignUpResult
	}{
		{name: "known user", responses: []string{ok200}, calls: []string{in}, outcome: exchange.OutcomeSignedIn},
		{name: "unknown user", responses: []string{unknown, ok200}, calls: []string{in, up}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "unknown user, registration off", responses: []string{unknown}, off: true, calls: []string{in}, code: exchange.CodeNotRegistered},
		{name: "unknown user, no budget", responses: []string{unknown}, limited: true, calls: []string{in}, code: exchange.CodeRegistrationLimited, reported: SignUpLimited},
		{name: "sign-up without a token", responses: []string{unknown, noToken, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "sign-up without a token, refused", responses: []string{unknown, noToken, unknown}, calls: []string{in, up, in}, code: exchange.CodeRefused, held: true, reported: SignUpCreated},
		{name: "H12 user exists", responses: []string{unknown, exists, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpExists},
		{name: "user exists, by status", responses: []string{unknown, conflict, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpExists},
		{name: "user exists, as a 403", responses: []string{unknown, "403/100010", ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpExists},
		{name: "down, with a code", responses: []string{"500/100001"}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "user exists and is refused", responses: []string{unknown, exists, unknown}, calls: []string{in, up, in}, code: exchange.CodeRefused, reported: SignUpExists},
		{name: "user exists, by status, and is refused", responses: []string{unknown, conflict, unknown}, calls: []string{in, up, in}, code: exchange.CodeRefused, reported: SignUpExists},
		{name: "user exists, then an outage", responses: []string{unknown, exists, down}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, reported: SignUpExists},
		{name: "H13 both refused", responses: []string{unknown, refused}, calls: []string{in, up}, code: exchange.CodeRefused, reported: SignUpRefused},
		{name: "sign-in blames our project", responses: []string{badIDs}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-in blames our client", responses: []string{badClient}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "H14 sign-in refuses our credentials", responses: []string{unauth}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-up refuses our credentials", responses: []string{unknown, unauth}, calls: []string{in, up}, code: exchange.CodeConfig, reported: SignUpFailed},
		{name: "sign-up blames our project", responses: []string{unknown, badIDs}, calls: []string{in, up}, code: exchange.CodeConfig, reported: SignUpFailed},
		{name: "sign-in with a code of another's", responses: []string{"400/INVALID_CLIENT_ID"}, calls: []string{in}, code: exchange.CodeRejected},
		{name: "sign-in, 403 of user unknown", responses: []string{"403/300011", ok200}, calls: []string{in, up}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "sign-in, 403 with an unknown code", responses: []string{"403/4711", ok200}, calls: []string{in, up}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "sign-in, 403 of a token", responses: []string{"403/10001"}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-in, 403 of an invalid request", responses: []string{"403/100003"}, calls: []string{in}, code: exchange.CodeRejected},
		{name: "sign-in, 403 of an id", responses: []string{"403/100004"}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-in, 403 of the signature", responses: []string{"403/100006"}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-in, 403 of user exists", responses: []string{"403/100010"}, calls: []string{in}, code: exchange.CodeRejected},
		{name: "sign-in, 403 of a password", responses: []string{"403/100012"}, calls: []string{in}, code: exchange.CodeRefused},
		{name: "sign-in, 403 of an unverified user", responses: []string{"403/100015"}, calls: []string{in}, code: exchange.CodeRefused},
		{name: "sign-in, 400 of an unverified user", responses: []string{"400/100015"}, calls: []string{in}, code: exchange.CodeRefused},
		{name: "sign-in, 401 with a user's code", responses: []string{"401/100015"}, calls: []string{in}, code: exchange.CodeConfig},
		{name: "sign-up, 403 of an invalid request", responses: []string{unknown, "403/100003"}, calls: []string{in, up}, code: exchange.CodeRejected, reported: SignUpFailed},
		{name: "sign-up, 403 of the signature", responses: []string{unknown, "403/100006"}, calls: []string{in, up}, code: exchange.CodeConfig, reported: SignUpFailed},
		{name: "sign-up, 403 without a code", responses: []string{unknown, "403"}, calls: []string{in, up}, code: exchange.CodeRefused, reported: SignUpRefused},
		{name: "K07 sign-in, 408", responses: []string{"408"}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "K07 sign-up, 408", responses: []string{unknown, "408", unknown}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, held: true, reported: SignUpUnclear},
		{name: "sign-in is wrong", responses: []string{wrong}, calls: []string{in}, code: exchange.CodeRejected},
		{name: "sign-up is wrong", responses: []string{unknown, wrong}, calls: []string{in, up}, code: exchange.CodeRejected, reported: SignUpFailed},
		{name: "sign-in limited", responses: []string{limited}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "sign-up limited", responses: []string{unknown, limited}, calls: []string{in, up}, code: exchange.CodeUnavailable, reported: SignUpFailed},
		{name: "sign-in down", responses: []string{down}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "sign-in moved", responses: []string{moved}, calls: []string{in}, code: exchange.CodeBadResponse},
		{name: "sign-in garbage", responses: []string{html}, calls: []string{in}, code: exchange.CodeBadResponse},
		{name: "sign-in late", responses: []string{late}, calls: []string{in}, code: exchange.CodeTimeout},
		{name: "sign-in without connection", responses: []string{noConn}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "breaker open", responses: []string{open}, calls: []string{in}, code: exchange.CodeUnavailable},
		{name: "sign-up without connection", responses: []string{unknown, noConn}, calls: []string{in, up}, code: exchange.CodeUnavailable, reported: SignUpFailed},
		{name: "sign-up not sent, breaker open", responses: []string{unknown, open}, calls: []string{in, up}, code: exchange.CodeUnavailable, reported: SignUpFailed},
		{name: "H10 sign-up reset, processed", responses: []string{unknown, reset, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpUnclear},
		{name: "sign-up reset, not there", responses: []string{unknown, reset, unknown}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, held: true, reported: SignUpUnclear},
		{name: "H11 sign-up late", responses: []string{unknown, late, unknown}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, held: true, reported: SignUpUnclear},
		{name: "sign-up late, sign-in late", responses: []string{unknown, late, late}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, held: true, reported: SignUpUnclear},
		{name: "sign-up down", responses: []string{unknown, down, unknown}, calls: []string{in, up, in}, code: exchange.CodeUnavailable, held: true, reported: SignUpUnclear},
		{name: "sign-up down, processed", responses: []string{unknown, down, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpUnclear},
		{name: "sign-up moved", responses: []string{unknown, moved, unknown}, calls: []string{in, up, in}, code: exchange.CodeBadResponse, held: true, reported: SignUpUnclear},
		{name: "sign-up garbage", responses: []string{unknown, html, unknown}, calls: []string{in, up, in}, code: exchange.CodeBadResponse, held: true, reported: SignUpUnclear},
		{name: "sign-up garbage, processed", responses: []string{unknown, html, ok200}, calls: []string{in, up, in}, outcome: exchange.OutcomeSignedIn, reported: SignUpUnclear},
		{name: "consent", responses: []string{unknown, ok200, ok200}, consent: true, calls: []string{in, up, consent}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "consent fails", responses: []string{unknown, ok200, down}, consent: true, calls: []string{in, up, consent}, outcome: exchange.OutcomeRegistered, reported: SignUpCreated},
		{name: "consent of a known user", responses: []string{ok200}, consent: true, calls: []string{in}, outcome: exchange.OutcomeSignedIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{responses: c.responses}
			failed := 0
			var reported []SignUpResult
			l := &Exchange{
				Huma: s, Registrations: NewRegistrations(), User: "u",
				Registration: Registration{
					Off: c.off, Hold: time.Minute, Consent: c.consent,
					Allow:          func() bool { return !c.limited },
					OnConsentError: func(error) { failed++ },
					OnResult:       func(r SignUpResult) { reported = append(reported, r) },
				},
			}
			token, outcome, err := l.Run(t.Context())
			if got := strings.Join(s.calls, ", "); got != strings.Join(c.calls, ", ") {
				t.Errorf("calls: %s; want %v", got, c.calls)
			}
			for i, priority := range s.priority {
				if priority != (i > 0) {
					t.Errorf("call %d has priority: %v", i+1, priority)
				}
			}
			var e *exchange.Error
			switch errors.As(err, &e); {
			case c.code == "":
				if err != nil || token == nil || outcome != c.outcome {
					t.Errorf("got %v %q %v, want %q", token, outcome, err, c.outcome)
				}
			case e == nil || e.Code != c.code || token != nil || outcome != "":
				t.Errorf("got %v %q %v, want %q", token, outcome, err, c.code)
			}
			if held := l.Registrations.Len() == 1; held != c.held {
				t.Errorf("held is %v, want %v", held, c.held)
			}
			var want []SignUpResult
			if c.reported != "" {
				want = append(want, c.reported)
			}
			if !slices.Equal(reported, want) {
				t.Errorf("reported %q, want %q", reported, want)
			}
			if (c.name == "consent fails") != (failed == 1) {
				t.Errorf("%d consents failed", failed)
			}
		})
	}
}

// TestH11_OnlySignInDecidesDuringHold checks that no second sign-up is sent during the
// hold, and that one is sent afterwards.
func TestH11_OnlySignInDecidesDuringHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{responses: []string{unknown, late, unknown, unknown, unknown, unknown, ok200}}
		l := &Exchange{Huma: s, Registrations: NewRegistrations(), User: "u", Registration: Registration{
			Hold: time.Minute, Allow: func() bool { return true }, OnResult: func(SignUpResult) {},
		}}
		for i, want := range []string{"sign in, sign up, sign in", "sign in", "sign in"} {
			s.calls = nil
			_, _, err := l.Run(t.Context())
			var e *exchange.Error
			if !errors.As(err, &e) || e.Code != exchange.CodeUnavailable || e.RetryAfter <= 0 {
				t.Errorf("try %d: %v", i, err)
			}
			if got := strings.Join(s.calls, ", "); got != want {
				t.Errorf("try %d: calls %s, want %s", i, got, want)
			}
			time.Sleep(29 * time.Second)
		}
		s.calls = nil
		if _, outcome, err := l.Run(t.Context()); err != nil || outcome != exchange.OutcomeRegistered {
			t.Errorf("after the hold: %q %v", outcome, err)
		}
	})
}

// TestHoldIsPerUser checks that another user can be signed up during the hold.
func TestHoldIsPerUser(t *testing.T) {
	r := NewRegistrations()
	reg := Registration{Hold: time.Minute, Allow: func() bool { return true }, OnResult: func(SignUpResult) {}}
	first := &Exchange{Huma: &script{responses: []string{unknown, reset, unknown}}, Registrations: r, User: "u", Registration: reg}
	if _, _, err := first.Run(t.Context()); err == nil {
		t.Fatal("no error")
	}
	other := &Exchange{Huma: &script{responses: []string{unknown, ok200}}, Registrations: r, User: "v", Registration: reg}
	if _, _, err := other.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSignUpPanicHoldsTheUser checks that a user is held after a panic, because it is
// unknown whether the service has received the sign-up.
func TestSignUpPanicHoldsTheUser(t *testing.T) {
	r := NewRegistrations()
	var reported []SignUpResult
	l := &Exchange{Huma: panicHuma{}, Registrations: r, User: "u", Registration: Registration{
		Hold: time.Minute, Allow: func() bool { return true }, OnResult: func(r SignUpResult) { reported = append(reported, r) },
	}}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = l.Run(t.Context())
	}()
	turn, err := r.acquire(t.Context(), "u", nil)
	if err != nil || turn.held <= 0 {
		t.Errorf("turn %+v, %v: want a hold", turn, err)
	}
	if !slices.Equal(reported, []SignUpResult{SignUpUnclear}) {
		t.Errorf("reported %q", reported)
	}
}

type panicHuma struct{}

func (panicHuma) SignIn(context.Context, Person) (*exchange.Token, error) {
	return nil, &exchange.StatusError{Op: exchange.OpSignIn, Status: http.StatusForbidden}
}

func (panicHuma) SignUp(context.Context, Person) (*exchange.Token, error) { panic("canary") }

func (panicHuma) SignConsent(context.Context, Person) error { return nil }

// TestBeginEndsWithItsContext checks that a request that waits for another request's
// sign-up stops waiting when its context ends.
func TestBeginEndsWithItsContext(t *testing.T) {
	r := NewRegistrations()
	first, err := r.acquire(t.Context(), "u", nil)
	if err != nil || first.permit == nil {
		t.Fatal(first, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.acquire(ctx, "u", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	first.permit.release(0)
	if second, err := r.acquire(t.Context(), "u", nil); err != nil || second.permit == nil {
		t.Errorf("turn %+v, %v: want a permit", second, err)
	}
}

// TestEndedHoldsAreSwept checks that users with an ended hold are deleted.
func TestEndedHoldsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistrations()
		for i := range 1000 {
			turn, _ := r.acquire(t.Context(), exchange.UserKey(fmt.Sprint(i)), nil)
			turn.permit.release(time.Second)
		}
		time.Sleep(2 * time.Second)
		for range 1000 {
			turn, _ := r.acquire(t.Context(), "x", nil)
			turn.permit.release(0)
		}
		if n := r.Len(); n > 100 {
			t.Errorf("%d holds are left of 1000 that ended", n)
		}
	})
}

// TestARetryAfterOfASignUp checks that the service's Retry-After is not shortened.
func TestARetryAfterOfASignUp(t *testing.T) {
	err := &exchange.StatusError{Op: exchange.OpSignUp, Status: 503, RetryAfter: 30 * time.Second}
	if e := classifyUnclear(err); e.Code != exchange.CodeUnavailable || e.RetryAfter != 30*time.Second {
		t.Errorf("got %+v", e)
	}
}
