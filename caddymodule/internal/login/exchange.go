package login

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

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

// notify reports the result of a sign-up to Ended.
func (r *Registration) notify(result SignUpResult) {
	if r.Ended != nil {
		r.Ended(result)
	}
}

// Exchange signs a person in at Huma, and up if Huma does not know them. It is
// the whole rule (contract §4):
//
//	sign in; on a 403 that says the user is unknown sign up; if that says the
//	user exists or carries no token, sign in once more; if that, or the sign-up
//	itself, is such a 403: refused.
type Exchange struct {
	Huma          Huma
	Registrations *Registrations
	Registration  Registration

	User   exchange.UserKey // names the user in Registrations: the same for all credentials
	Person Person

	// Coordinator makes a sign-up the only one over all replicas. Nil: there are
	// no others.
	Coordinator *Coordinator
}

// Mint makes what exchange.Minter asks for of a token.
func (l *Exchange) Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error) {
	for {
		grant, err := l.Huma.SignIn(ctx, l.Person)
		if err == nil {
			return grant, exchange.OutcomeSignedIn, nil
		}
		if !isUnknownUser(err) {
			return nil, "", classify(err)
		}
		if l.Registration.Off {
			return nil, "", &exchange.Error{Code: exchange.CodeNotRegistered, Err: err}
		}

		turn, err := l.Registrations.acquire(ctx, l.User, l.Huma)
		switch {
		case err != nil:
			return nil, "", exchange.Classify(err)
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
func (l *Exchange) register(ctx context.Context, permit *permit) (*exchange.Grant, exchange.Outcome, error) {
	ctx = exchange.WithPriority(ctx)
	// Until the service has decided, the end is unclear: also if this panics.
	end := exchange.SignUpEnd{Hold: l.Registration.Hold}
	var refusal *exchange.Error // definite
	defer func() {
		if refusal != nil {
			permit.refuse(refusal, l.Huma, l.Registration.Refused)
			return
		}
		permit.release(end.Hold)
	}()

	turn := l.Coordinator.take(ctx)
	if !turn.ours {
		end = exchange.SignUpEnd{}
		return l.waitForReplica(ctx, turn)
	}
	defer func() { l.Coordinator.release(turn, end) }()

	result := SignUpUnclear // unless it is known better, as above
	defer func() { l.Registration.notify(result) }()
	if !l.Registration.Allow() {
		end, result = exchange.SignUpEnd{}, SignUpLimited
		return nil, "", &exchange.Error{Code: exchange.CodeRegistrationLimited, RetryAfter: time.Second, Err: errBrake}
	}
	if l.Coordinator.isOver(turn) {
		end, result = exchange.SignUpEnd{}, SignUpFailed
		return nil, "", &exchange.Error{Code: exchange.CodeTimeout, Err: errLockEnded}
	}
	grant, err := l.Huma.SignUp(ctx, l.Person)
	result = signUpResult(err)
	unclear := result == SignUpUnclear
	if !unclear {
		end = exchange.SignUpEnd{Exists: err == nil || isExisting(err)}
	}

	switch {
	case err == nil:
		l.consent(ctx)
		if grant != nil {
			return grant, exchange.OutcomeRegistered, nil
		}
	case isUnknownUser(err) && !isExisting(err):
		refusal = &exchange.Error{Code: exchange.CodeRefused, Err: err}
		return nil, "", refusal
	case !unclear && !isExisting(err):
		failed := classify(err)
		if failed.Code == exchange.CodeRefused || failed.Code == exchange.CodeRejected {
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
		return grant, exchange.OutcomeRegistered, nil
	case signInErr == nil:
		end = exchange.SignUpEnd{Exists: true}
		return grant, exchange.OutcomeSignedIn, nil
	case unclear:
		return nil, "", classifyUnclear(err)
	case isUnknownUser(signInErr):
		return nil, "", &exchange.Error{Code: exchange.CodeRefused, Err: signInErr}
	}
	return nil, "", classify(signInErr)
}

// waitForReplica ends the exchange of a user whose sign-up is another replica's.
func (l *Exchange) waitForReplica(ctx context.Context, turn signUpTurn) (*exchange.Grant, exchange.Outcome, error) {
	switch {
	case turn.held:
		return nil, "", heldError(holdRetry)
	case turn.grant != nil:
		return turn.grant, exchange.OutcomeSignedIn, nil
	}
	// Its user exists now, or may: only sign-in can tell.
	grant, err := l.Huma.SignIn(ctx, l.Person)
	switch {
	case err == nil:
		return grant, exchange.OutcomeSignedIn, nil
	case isUnknownUser(err) && turn.exists:
		return nil, "", &exchange.Error{Code: exchange.CodeRefused, Err: err}
	case isUnknownUser(err):
		return nil, "", heldError(holdRetry)
	}
	return nil, "", classify(err)
}

// heldError is the end of an exchange whose user only sign-in may decide about.
func heldError(left time.Duration) *exchange.Error {
	return &exchange.Error{Code: exchange.CodeUnavailable, RetryAfter: min(left, holdRetry), Err: errHeld}
}

// consent signs the consent of somebody who has just been registered.
func (l *Exchange) consent(ctx context.Context) {
	if !l.Registration.Consent {
		return
	}
	if err := l.Huma.SignConsent(ctx, l.Person); err != nil {
		l.Registration.ConsentFailed(err)
	}
}
