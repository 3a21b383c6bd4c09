package exchange

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// codeUserExists is Huma's error code of a sign-up whose user exists.
const codeUserExists = "100010"

// humaCodes maps the error codes that Huma has published to the Code that the
// endpoint answers. 300011 (user does not exist) is not among them: like a 403
// without a code, or with one that is not published, it leads to a sign-up.
var humaCodes = map[string]Code{
	"10001":        CodeConfig,   // token expired: one that header_up sends
	"10002":        CodeConfig,   // wrong token
	"100001":       CodeConfig,   // invalid project id
	"100002":       CodeConfig,   // invalid client id
	"100003":       CodeRejected, // invalid request
	"100004":       CodeConfig,   // forbidden id
	"100006":       CodeConfig,   // unauthorized
	codeUserExists: CodeRejected,
	"100012":       CodeRefused, // wrong password
	"100015":       CodeRefused, // e-mail not verified
}

// holdRetry is how long a caller is told to wait for an account whose sign-up
// had an unclear end: it mostly appears within seconds.
const holdRetry = 2 * time.Second

// Registration says whether and how users who are unknown to the service are
// signed up.
type Registration struct {
	Off     bool
	Hold    time.Duration // after a sign-up with an unclear end
	Refused time.Duration // for which a refusal of a sign-up is repeated; 0: not at all
	Consent bool          // sign the consent after a sign-up

	// Allow is the brake: it takes one from the budget of sign-ups, or says
	// that there is none left.
	Allow func() bool

	// ConsentFailed is told about a consent that could not be signed. It never
	// costs the token.
	ConsentFailed func(error)

	// Ended is told what came of a sign-up, once for each. Nil: nobody is. A
	// sign-up that another replica does is none of ours.
	Ended func(SignUpResult)
}

// tell says what came of a sign-up.
func (r *Registration) tell(result SignUpResult) {
	if r.Ended != nil {
		r.Ended(result)
	}
}

// Login signs a person in at Huma, and up if Huma does not know them. It is
// the whole rule (contract §4):
//
//	sign in; on a 403 that says the user is unknown sign up; if that says the
//	user exists or carries no token, sign in once more; if that, or the sign-up
//	itself, is such a 403: refused.
type Login struct {
	Huma          Huma
	Registrations *Registrations
	Registration  Registration

	User   UserKey // names the user in Registrations: the same for all credentials
	Person Person

	// Replicas makes a sign-up the only one over all replicas. Nil: there are
	// no others.
	Replicas *Replicas
}

// Mint implements Minter.
func (l *Login) Mint(ctx context.Context) (*Grant, Outcome, error) {
	for {
		grant, err := l.Huma.SignIn(ctx, l.Person)
		if err == nil {
			return grant, OutcomeSignedIn, nil
		}
		if !isUnknownUser(err) {
			return nil, "", loginFailure(err)
		}
		if l.Registration.Off {
			return nil, "", &Error{Code: CodeNotRegistered, Err: err}
		}

		turn, err := l.Registrations.Begin(ctx, l.User, l.Huma)
		switch {
		case err != nil:
			return nil, "", failure(err)
		case turn.finished:
			continue // somebody else has signed this user up: sign in, with our own client type
		case turn.refusal != nil:
			return nil, "", turn.refusal
		case turn.held > 0:
			return nil, "", heldError(turn.held)
		}
		return l.register(ctx, turn.permit)
	}
}

var (
	errHeld  = errors.New("an earlier sign-up of this user had an unclear end and the user has not appeared yet")
	errBrake = errors.New("too many registrations: the limit is set by the option `registration { rate }`")
)

// register signs the person up: once, whatever becomes of it.
func (l *Login) register(ctx context.Context, permit *Permit) (*Grant, Outcome, error) {
	ctx = goesOn(ctx)
	// Until the service has decided, the end is unclear: also if this panics.
	end := SignUpEnd{Hold: l.Registration.Hold}
	var refusal *Error // definite
	defer func() {
		if refusal != nil {
			permit.Refuse(refusal, l.Huma, l.Registration.Refused)
			return
		}
		permit.End(end.Hold)
	}()

	turn := l.Replicas.take(ctx)
	if !turn.ours {
		end = SignUpEnd{}
		return l.leaveTo(ctx, turn)
	}
	defer func() { l.Replicas.release(turn, end) }()

	result := SignUpUnclear // unless it is known better, as above
	defer func() { l.Registration.tell(result) }()
	if !l.Registration.Allow() {
		end, result = SignUpEnd{}, SignUpLimited
		return nil, "", &Error{Code: CodeRegistrationLimited, RetryAfter: time.Second, Err: errBrake}
	}
	if l.Replicas.isOver(turn) {
		end, result = SignUpEnd{}, SignUpFailed
		return nil, "", &Error{Code: CodeTimeout, Err: errLockEnded}
	}
	grant, err := l.Huma.SignUp(ctx, l.Person)
	result = signUpResult(err)
	unclear := result == SignUpUnclear
	if !unclear {
		end = SignUpEnd{Exists: err == nil || isExisting(err)}
	}

	switch {
	case err == nil:
		l.consent(ctx)
		if grant != nil {
			return grant, OutcomeRegistered, nil
		}
	case isUnknownUser(err) && !isExisting(err):
		refusal = &Error{Code: CodeRefused, Err: err}
		return nil, "", refusal
	case !unclear && !isExisting(err):
		failed := loginFailure(err)
		if failed.Code == CodeRefused || failed.Code == CodeRejected {
			refusal = failed
		}
		return nil, "", failed
	}

	// The user exists now, or may: only sign-in can tell.
	grant, signInErr := l.Huma.SignIn(ctx, l.Person)
	if err == nil && signInErr != nil {
		// It was created and cannot be seen yet: another sign-up could be a second.
		end.Hold = l.Registration.Hold
	}
	switch {
	case signInErr == nil && err == nil:
		return grant, OutcomeRegistered, nil
	case signInErr == nil:
		end = SignUpEnd{Exists: true}
		return grant, OutcomeSignedIn, nil
	case unclear:
		return nil, "", unclearFailure(err)
	case isUnknownUser(signInErr):
		return nil, "", &Error{Code: CodeRefused, Err: signInErr}
	}
	return nil, "", loginFailure(signInErr)
}

// leaveTo ends the exchange of a user whose sign-up is another replica's.
func (l *Login) leaveTo(ctx context.Context, turn signUpTurn) (*Grant, Outcome, error) {
	switch {
	case turn.held:
		return nil, "", heldError(holdRetry)
	case turn.grant != nil:
		return turn.grant, OutcomeSignedIn, nil
	}
	// Its user exists now, or may: only sign-in can tell.
	grant, err := l.Huma.SignIn(ctx, l.Person)
	switch {
	case err == nil:
		return grant, OutcomeSignedIn, nil
	case isUnknownUser(err) && turn.exists:
		return nil, "", &Error{Code: CodeRefused, Err: err}
	case isUnknownUser(err):
		return nil, "", heldError(holdRetry)
	}
	return nil, "", loginFailure(err)
}

// heldError is the end of an exchange whose user only sign-in may decide about.
func heldError(left time.Duration) *Error {
	return &Error{Code: CodeUnavailable, RetryAfter: min(left, holdRetry), Err: errHeld}
}

// consent signs the consent of somebody who has just been registered.
func (l *Login) consent(ctx context.Context) {
	if !l.Registration.Consent {
		return
	}
	if err := l.Huma.SignConsent(ctx, l.Person); err != nil {
		l.Registration.ConsentFailed(err)
	}
}

// isUnknownUser reports whether the service does not know the user: a 403
// without one of the codes that say something else.
func isUnknownUser(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusForbidden {
		return false
	}
	_, known := humaCodes[status.Code]
	return !known
}

// isExisting reports whether a sign-up says that the user exists.
func isExisting(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && (status.Code == codeUserExists || status.Status == http.StatusConflict)
}

// isUnclear reports whether a sign-up may have created the user although it
// did not say so: the service had the request, and gave no definite answer.
func isUnclear(err error) bool {
	var (
		status    *StatusError
		transport *TransportError
		answer    *AnswerError
	)
	switch {
	case errors.As(err, &status):
		// A redirect may be the answer to a form that was processed.
		return status.Status >= 500 || status.Status == http.StatusRequestTimeout || status.Status < 400
	case errors.As(err, &transport):
		return transport.Sent
	case errors.As(err, &answer):
		return true
	}
	return false
}

// loginFailure is failure with what Huma's own codes say. They outrank the
// status of a 4xx, except a 401, which always refuses our credentials. Those of
// a service that is down or limits us do not count.
func loginFailure(err error) *Error {
	e := failure(err)
	var status *StatusError
	if e.Code == CodeRejected && errors.As(err, &status) {
		if code, known := humaCodes[status.Code]; known {
			e.Code = code
		}
	}
	return e
}

// unclearFailure is loginFailure for a sign-up with an unclear end: even if it
// was too late it is worth asking again soon, for the user may appear.
func unclearFailure(err error) *Error {
	e := loginFailure(err)
	if e.Code == CodeTimeout || e.Code == CodeUnavailable || e.Code == CodeRejected {
		e.Code, e.RetryAfter = CodeUnavailable, max(e.RetryAfter, holdRetry)
	}
	return e
}
