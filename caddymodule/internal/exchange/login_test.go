package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a Huma that answers as it is told, call by call.
type script struct {
	continued []bool // per call: Continues
	mu        sync.Mutex
	answers   []string
	calls     []string
}

// Answers of a script.
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

func (s *script) answer(op Op) (*Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, string(op))
	if len(s.answers) == 0 {
		return nil, fmt.Errorf("unexpected %s", op)
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	switch a {
	case ok200:
		return NewGrant(time.Now()).Text("authToken", string(op)).Lifetime("expiresIn", time.Hour).Grant(), nil
	case noToken:
		return nil, nil
	case html:
		return nil, &AnswerError{op, "not JSON"}
	case reset:
		return nil, &TransportError{Op: op, Sent: true, Err: errors.New("connection reset")}
	case noConn:
		return nil, &TransportError{Op: op, Err: errors.New("connection refused")}
	case late:
		return nil, &TransportError{Op: op, Sent: true, Timeout: true, Err: context.DeadlineExceeded}
	case open:
		return nil, &OpenError{RetryAfter: 3 * time.Second}
	}
	e := &StatusError{Op: op}
	if _, err := fmt.Sscanf(a, "%d/%s", &e.Status, &e.Code); err != nil {
		_, _ = fmt.Sscanf(a, "%d", &e.Status)
	}
	return nil, e
}

func (s *script) SignIn(ctx context.Context, _ Person) (*Grant, error) {
	s.continued = append(s.continued, Continues(ctx))
	return s.answer(OpSignIn)
}

func (s *script) SignUp(ctx context.Context, _ Person) (*Grant, error) {
	s.continued = append(s.continued, Continues(ctx))
	return s.answer(OpSignUp)
}

func (s *script) SignConsent(ctx context.Context, _ Person) error {
	s.continued = append(s.continued, Continues(ctx))
	_, err := s.answer(OpConsent)
	return err
}

// TestLogin holds the whole rule of contract §4.
func TestLogin(t *testing.T) {
	const in, up, consent = "sign in", "sign up", "sign consent"
	for name, c := range map[string]struct {
		answers []string
		off     bool // registration
		consent bool
		brake   bool // has nothing left
		calls   []string
		outcome Outcome
		code    Code
		held    bool // afterwards
	}{
		"known user":                          {answers: []string{ok200}, calls: []string{in}, outcome: OutcomeSignedIn},
		"unknown user":                        {answers: []string{unknown, ok200}, calls: []string{in, up}, outcome: OutcomeRegistered},
		"unknown user, registration off":      {answers: []string{unknown}, off: true, calls: []string{in}, code: CodeNotRegistered},
		"unknown user, no budget":             {answers: []string{unknown}, brake: true, calls: []string{in}, code: CodeRegistrationLimited},
		"sign-up without a token":             {answers: []string{unknown, noToken, ok200}, calls: []string{in, up, in}, outcome: OutcomeRegistered},
		"sign-up without a token, refused":    {answers: []string{unknown, noToken, unknown}, calls: []string{in, up, in}, code: CodeRefused, held: true},
		"H12 user exists":                     {answers: []string{unknown, exists, ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"user exists, by status":              {answers: []string{unknown, conflict, ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"user exists, as a 403":               {answers: []string{unknown, "403/100010", ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"down, with a code":                   {answers: []string{"500/100001"}, calls: []string{in}, code: CodeUnavailable},
		"user exists and is refused":          {answers: []string{unknown, exists, unknown}, calls: []string{in, up, in}, code: CodeRefused},
		"user exists, then an outage":         {answers: []string{unknown, exists, down}, calls: []string{in, up, in}, code: CodeUnavailable},
		"H13 both refused":                    {answers: []string{unknown, refused}, calls: []string{in, up}, code: CodeRefused},
		"sign-in blames our project":          {answers: []string{badIDs}, calls: []string{in}, code: CodeConfig},
		"sign-in blames our client":           {answers: []string{badClient}, calls: []string{in}, code: CodeConfig},
		"H14 sign-in refuses our credentials": {answers: []string{unauth}, calls: []string{in}, code: CodeConfig},
		"sign-up refuses our credentials":     {answers: []string{unknown, unauth}, calls: []string{in, up}, code: CodeConfig},
		"sign-up blames our project":          {answers: []string{unknown, badIDs}, calls: []string{in, up}, code: CodeConfig},
		"sign-in with a code of another's":    {answers: []string{"400/INVALID_CLIENT_ID"}, calls: []string{in}, code: CodeRejected},
		"sign-in, 403 of user unknown":        {answers: []string{"403/300011", ok200}, calls: []string{in, up}, outcome: OutcomeRegistered},
		"sign-in, 403 with an unknown code":   {answers: []string{"403/4711", ok200}, calls: []string{in, up}, outcome: OutcomeRegistered},
		"sign-in, 403 of a token":             {answers: []string{"403/10001"}, calls: []string{in}, code: CodeConfig},
		"sign-in, 403 of an invalid request":  {answers: []string{"403/100003"}, calls: []string{in}, code: CodeRejected},
		"sign-in, 403 of an id":               {answers: []string{"403/100004"}, calls: []string{in}, code: CodeConfig},
		"sign-in, 403 of the signature":       {answers: []string{"403/100006"}, calls: []string{in}, code: CodeConfig},
		"sign-in, 403 of user exists":         {answers: []string{"403/100010"}, calls: []string{in}, code: CodeRejected},
		"sign-in, 403 of a password":          {answers: []string{"403/100012"}, calls: []string{in}, code: CodeRefused},
		"sign-in, 403 of an unverified user":  {answers: []string{"403/100015"}, calls: []string{in}, code: CodeRefused},
		"sign-in, 400 of an unverified user":  {answers: []string{"400/100015"}, calls: []string{in}, code: CodeRefused},
		"sign-in, 401 with a user's code":     {answers: []string{"401/100015"}, calls: []string{in}, code: CodeConfig},
		"sign-up, 403 of an invalid request":  {answers: []string{unknown, "403/100003"}, calls: []string{in, up}, code: CodeRejected},
		"sign-up, 403 of the signature":       {answers: []string{unknown, "403/100006"}, calls: []string{in, up}, code: CodeConfig},
		"sign-up, 403 without a code":         {answers: []string{unknown, "403"}, calls: []string{in, up}, code: CodeRefused},
		"K07 sign-in, 408":                    {answers: []string{"408"}, calls: []string{in}, code: CodeUnavailable},
		"K07 sign-up, 408":                    {answers: []string{unknown, "408", unknown}, calls: []string{in, up, in}, code: CodeUnavailable, held: true},
		"sign-in is wrong":                    {answers: []string{wrong}, calls: []string{in}, code: CodeRejected},
		"sign-up is wrong":                    {answers: []string{unknown, wrong}, calls: []string{in, up}, code: CodeRejected},
		"sign-in limited":                     {answers: []string{limited}, calls: []string{in}, code: CodeUnavailable},
		"sign-up limited":                     {answers: []string{unknown, limited}, calls: []string{in, up}, code: CodeUnavailable},
		"sign-in down":                        {answers: []string{down}, calls: []string{in}, code: CodeUnavailable},
		"sign-in moved":                       {answers: []string{moved}, calls: []string{in}, code: CodeBadResponse},
		"sign-in garbage":                     {answers: []string{html}, calls: []string{in}, code: CodeBadResponse},
		"sign-in late":                        {answers: []string{late}, calls: []string{in}, code: CodeTimeout},
		"sign-in without connection":          {answers: []string{noConn}, calls: []string{in}, code: CodeUnavailable},
		"breaker open":                        {answers: []string{open}, calls: []string{in}, code: CodeUnavailable},
		"sign-up without connection":          {answers: []string{unknown, noConn}, calls: []string{in, up}, code: CodeUnavailable},
		"sign-up not sent, breaker open":      {answers: []string{unknown, open}, calls: []string{in, up}, code: CodeUnavailable},
		"H10 sign-up reset, processed":        {answers: []string{unknown, reset, ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"sign-up reset, not there":            {answers: []string{unknown, reset, unknown}, calls: []string{in, up, in}, code: CodeUnavailable, held: true},
		"H11 sign-up late":                    {answers: []string{unknown, late, unknown}, calls: []string{in, up, in}, code: CodeUnavailable, held: true},
		"sign-up late, sign-in late":          {answers: []string{unknown, late, late}, calls: []string{in, up, in}, code: CodeUnavailable, held: true},
		"sign-up down":                        {answers: []string{unknown, down, unknown}, calls: []string{in, up, in}, code: CodeUnavailable, held: true},
		"sign-up down, processed":             {answers: []string{unknown, down, ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"sign-up moved":                       {answers: []string{unknown, moved, unknown}, calls: []string{in, up, in}, code: CodeBadResponse, held: true},
		"sign-up garbage":                     {answers: []string{unknown, html, unknown}, calls: []string{in, up, in}, code: CodeBadResponse, held: true},
		"sign-up garbage, processed":          {answers: []string{unknown, html, ok200}, calls: []string{in, up, in}, outcome: OutcomeSignedIn},
		"consent":                             {answers: []string{unknown, ok200, ok200}, consent: true, calls: []string{in, up, consent}, outcome: OutcomeRegistered},
		"consent fails":                       {answers: []string{unknown, ok200, down}, consent: true, calls: []string{in, up, consent}, outcome: OutcomeRegistered},
		"consent of a known user":             {answers: []string{ok200}, consent: true, calls: []string{in}, outcome: OutcomeSignedIn},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: c.answers}
			failed := 0
			l := &Login{
				Huma: s, Registrations: NewRegistrations(), User: "u",
				Registration: Registration{
					Off: c.off, Hold: time.Minute, Consent: c.consent,
					Allow:         func() bool { return !c.brake },
					ConsentFailed: func(error) { failed++ },
				},
			}
			grant, outcome, err := l.Mint(t.Context())
			if got := strings.Join(s.calls, ", "); got != strings.Join(c.calls, ", ") {
				t.Errorf("calls: %s; want %v", got, c.calls)
			}
			for i, continues := range s.continued {
				if continues != (i > 0) {
					t.Errorf("call %d continues: %v", i+1, continues)
				}
			}
			var e *Error
			switch errors.As(err, &e); {
			case c.code == "":
				if err != nil || grant == nil || outcome != c.outcome {
					t.Errorf("got %v %q %v, want %q", grant, outcome, err, c.outcome)
				}
			case e == nil || e.Code != c.code || grant != nil || outcome != "":
				t.Errorf("got %v %q %v, want %q", grant, outcome, err, c.code)
			}
			if held := l.Registrations.Len() == 1; held != c.held {
				t.Errorf("held is %v, want %v", held, c.held)
			}
			if (name == "consent fails") != (failed == 1) {
				t.Errorf("%d consents failed", failed)
			}
		})
	}
}

// TestH11_OnlySignInDecidesDuringHold: until the hold is over no second
// sign-up is sent, and afterwards one is.
func TestH11_OnlySignInDecidesDuringHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []string{unknown, late, unknown, unknown, unknown, unknown, ok200}}
		l := &Login{Huma: s, Registrations: NewRegistrations(), User: "u", Registration: Registration{
			Hold: time.Minute, Allow: func() bool { return true },
		}}
		for i, want := range []string{"sign in, sign up, sign in", "sign in", "sign in"} {
			s.calls = nil
			_, _, err := l.Mint(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeUnavailable || e.RetryAfter <= 0 {
				t.Errorf("try %d: %v", i, err)
			}
			if got := strings.Join(s.calls, ", "); got != want {
				t.Errorf("try %d: calls %s, want %s", i, got, want)
			}
			time.Sleep(29 * time.Second)
		}
		s.calls = nil
		if _, outcome, err := l.Mint(t.Context()); err != nil || outcome != OutcomeRegistered {
			t.Errorf("after the hold: %q %v", outcome, err)
		}
	})
}

// TestHoldIsPerUser: another user is registered meanwhile.
func TestHoldIsPerUser(t *testing.T) {
	r := NewRegistrations()
	reg := Registration{Hold: time.Minute, Allow: func() bool { return true }}
	first := &Login{Huma: &script{answers: []string{unknown, reset, unknown}}, Registrations: r, User: "u", Registration: reg}
	if _, _, err := first.Mint(t.Context()); err == nil {
		t.Fatal("no error")
	}
	other := &Login{Huma: &script{answers: []string{unknown, ok200}}, Registrations: r, User: "v", Registration: reg}
	if _, _, err := other.Mint(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestC15_OneSignUpForAllKinds: exchanges of one user for different client
// types share one sign-up; the others sign in after it.
func TestC15_OneSignUpForAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slowHuma{}
		r := NewRegistrations()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				l := &Login{Huma: h, Registrations: r, User: "u", Registration: Registration{
					Hold: time.Minute, Allow: func() bool { return true },
				}}
				if _, _, err := l.Mint(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if h.signUps != 1 || r.Len() != 0 {
			t.Errorf("%d sign-ups, %d left in the set", h.signUps, r.Len())
		}
	})
}

// slowHuma knows a user a second after their sign-up was sent.
type slowHuma struct {
	mu      sync.Mutex
	known   bool
	signUps int
}

func (h *slowHuma) SignIn(context.Context, Person) (*Grant, error) {
	time.Sleep(100 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known {
		return nil, &StatusError{Op: OpSignIn, Status: http.StatusForbidden}
	}
	return NewGrant(time.Now()).Grant(), nil
}

func (h *slowHuma) SignUp(context.Context, Person) (*Grant, error) {
	h.mu.Lock()
	h.signUps++
	h.mu.Unlock()
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = true
	return NewGrant(time.Now()).Grant(), nil
}

func (h *slowHuma) SignConsent(context.Context, Person) error { return nil }

// TestSignUpPanicHoldsTheUser: nobody knows what the service has seen.
func TestSignUpPanicHoldsTheUser(t *testing.T) {
	r := NewRegistrations()
	l := &Login{Huma: panicHuma{}, Registrations: r, User: "u", Registration: Registration{
		Hold: time.Minute, Allow: func() bool { return true },
	}}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = l.Mint(t.Context())
	}()
	turn, err := r.Begin(t.Context(), "u", nil)
	if err != nil || turn.held <= 0 {
		t.Errorf("turn %+v, %v: want a hold", turn, err)
	}
}

type panicHuma struct{}

func (panicHuma) SignIn(context.Context, Person) (*Grant, error) {
	return nil, &StatusError{Op: OpSignIn, Status: http.StatusForbidden}
}
func (panicHuma) SignUp(context.Context, Person) (*Grant, error) { panic("canary") }
func (panicHuma) SignConsent(context.Context, Person) error      { return nil }

// TestBeginEndsWithItsContext: who waits for somebody else's sign-up does not
// wait for ever.
func TestBeginEndsWithItsContext(t *testing.T) {
	r := NewRegistrations()
	first, err := r.Begin(t.Context(), "u", nil)
	if err != nil || first.permit == nil {
		t.Fatal(first, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Begin(ctx, "u", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	first.permit.End(0)
	if second, err := r.Begin(t.Context(), "u", nil); err != nil || second.permit == nil {
		t.Errorf("turn %+v, %v: want a permit", second, err)
	}
}

// TestEndedHoldsAreSwept: the set does not grow with users who were held once.
func TestEndedHoldsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistrations()
		for i := range 1000 {
			turn, _ := r.Begin(t.Context(), UserKey(fmt.Sprint(i)), nil)
			turn.permit.End(time.Second)
		}
		time.Sleep(2 * time.Second)
		for range 1000 {
			turn, _ := r.Begin(t.Context(), "x", nil)
			turn.permit.End(0)
		}
		if n := r.Len(); n > 100 {
			t.Errorf("%d holds are left of 1000 that ended", n)
		}
	})
}

// TestARetryAfterOfASignUp: what the service asks for is not cut short.
func TestARetryAfterOfASignUp(t *testing.T) {
	err := &StatusError{Op: OpSignUp, Status: 503, RetryAfter: 30 * time.Second}
	if e := unclearFailure(err); e.Code != CodeUnavailable || e.RetryAfter != 30*time.Second {
		t.Errorf("got %+v", e)
	}
}

// TestNoConnectionIsUnavailable: however long it was tried.
func TestNoConnectionIsUnavailable(t *testing.T) {
	for sent, want := range map[bool]Code{true: CodeTimeout, false: CodeUnavailable} {
		e := failure(&TransportError{Op: OpSignIn, Sent: sent, Timeout: true, Err: context.DeadlineExceeded})
		if e.Code != want {
			t.Errorf("sent %v: %s, want %s", sent, e.Code, want)
		}
	}
}
