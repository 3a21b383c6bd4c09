package login

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// holdRetry is the Retry-After for a user whose sign-up had an unclear end. Most
// accounts appear within seconds.
const holdRetry = 2 * time.Second

// Registration says whether and how users are signed up who are unknown to the service.
type Registration struct {
	Off     bool
	Hold    time.Duration // no further sign-up for this long after one with an unclear end
	Refused time.Duration // how long the refusal of a sign-up is repeated; 0: not at all
	Consent bool          // sign the consent after a sign-up

	// Allow is the rate limit of sign-ups. It takes one sign-up from the budget and
	// reports false if none is left.
	Allow func() bool

	// OnConsentError is called with the error if the consent could not be signed. The
	// client gets its token anyway.
	OnConsentError func(error)

	// OnResult is called with the result of each sign-up, once. It is not called for a
	// sign-up by another replica. Required.
	OnResult func(SignUpResult)
}

// Exchange signs a person in at Huma, and signs them up first if Huma does not know
// them. These are all the rules:
//
//  1. Sign in. If a 403 says that the user is unknown, sign up.
//  2. If the sign-up says that the user exists, or responds without a token,
//     sign in once more.
//  3. If that sign-in, or the sign-up, responds with such a 403: refused.
type Exchange struct {
	Huma          Huma
	Registrations *Registrations
	Registration  Registration

	User   exchange.UserKey // identifies the user in Registrations: the same for all credentials
	Person Person

	// Coordinator prevents sign-ups of the same user by several replicas. Nil: there
	// are no other replicas.
	Coordinator *Coordinator
}

// Run implements the method of exchange.Exchange.
func (l *Exchange) Run(ctx context.Context) (*exchange.Token, exchange.Outcome, error) {
	for {
		token, err := l.Huma.SignIn(ctx, l.Person)
		if err == nil {
			return token, exchange.OutcomeSignedIn, nil
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
			continue // another request has signed this user up: sign in, with our own client type
		case turn.refusal != nil:
			return nil, "", turn.refusal
		case turn.held > 0:
			return nil, "", heldError(turn.held)
		}
		return l.register(ctx, turn.permit)
	}
}

var (
	errHeld        = errors.New("the previous sign-up of this user had no definite result, and the user does not exist yet")
	errRateLimited = errors.New("too many sign-ups: the rate limit is the option `registration { rate }`")
)

// register signs the person up. It sends at most one sign-up, whatever the result is.
func (l *Exchange) register(ctx context.Context, permit *permit) (*exchange.Token, exchange.Outcome, error) {
	ctx = exchange.WithPriority(ctx)
	// Until the service has decided, the end is unclear. That is also so if this
	// panics.
	end := exchange.SignUpEnd{Hold: l.Registration.Hold}
	var refusal *exchange.Error // a definite one
	defer func() {
		if refusal != nil {
			permit.refuse(refusal, l.Huma, l.Registration.Refused)
			return
		}
		permit.release(end.Hold)
	}()

	turn := l.Coordinator.take(ctx)
	if !turn.acquired {
		end = exchange.SignUpEnd{}
		return l.waitForReplica(ctx, turn)
	}
	defer func() { l.Coordinator.release(turn, end) }()

	result := SignUpUnclear // unless a result is set below, also if this panics
	defer func() { l.Registration.OnResult(result) }()
	if !l.Registration.Allow() {
		end, result = exchange.SignUpEnd{}, SignUpLimited
		return nil, "", &exchange.Error{Code: exchange.CodeRegistrationLimited, RetryAfter: time.Second, Err: errRateLimited}
	}
	if l.Coordinator.isOver(turn) {
		end, result = exchange.SignUpEnd{}, SignUpFailed
		return nil, "", &exchange.Error{Code: exchange.CodeTimeout, Err: errLockEnded}
	}
	token, err := l.Huma.SignUp(ctx, l.Person)
	result = signUpResult(err)
	unclear := result == SignUpUnclear
	if !unclear {
		end = exchange.SignUpEnd{Exists: err == nil || isExisting(err)}
	}

	switch {
	case err == nil:
		l.consent(ctx)
		if token != nil {
			return token, exchange.OutcomeRegistered, nil
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

	// The user exists now, or may exist: a sign-in decides.
	token, signInErr := l.Huma.SignIn(ctx, l.Person)
	if err == nil && signInErr != nil {
		// The user was created but cannot sign in yet: another sign-up could create a
		// second account.
		end.Hold = l.Registration.Hold
	}
	switch {
	case signInErr == nil && err == nil:
		return token, exchange.OutcomeRegistered, nil
	case signInErr == nil:
		end = exchange.SignUpEnd{Exists: true}
		return token, exchange.OutcomeSignedIn, nil
	case unclear:
		return nil, "", classifyUnclear(err)
	case isUnknownUser(signInErr):
		return nil, "", &exchange.Error{Code: exchange.CodeRefused, Err: signInErr}
	}
	return nil, "", classify(signInErr)
}

// waitForReplica ends the exchange of a user whom another replica signs up.
func (l *Exchange) waitForReplica(ctx context.Context, turn lockResult) (*exchange.Token, exchange.Outcome, error) {
	switch {
	case turn.held:
		return nil, "", heldError(holdRetry)
	case turn.token != nil:
		return turn.token, exchange.OutcomeSignedIn, nil
	}
	// The user exists now, or may exist: a sign-in decides.
	token, err := l.Huma.SignIn(ctx, l.Person)
	switch {
	case err == nil:
		return token, exchange.OutcomeSignedIn, nil
	case isUnknownUser(err) && turn.exists:
		return nil, "", &exchange.Error{Code: exchange.CodeRefused, Err: err}
	case isUnknownUser(err):
		return nil, "", heldError(holdRetry)
	}
	return nil, "", classify(err)
}

// heldError is the error for a user with a hold. Until the hold ends, only sign-in may
// decide whether the user exists.
func heldError(left time.Duration) *exchange.Error {
	return &exchange.Error{Code: exchange.CodeUnavailable, RetryAfter: min(left, holdRetry), Err: errHeld}
}

// consent signs the consent of a user who has just been signed up.
func (l *Exchange) consent(ctx context.Context) {
	if !l.Registration.Consent {
		return
	}
	if err := l.Huma.SignConsent(ctx, l.Person); err != nil {
		l.Registration.OnConsentError(err)
	}
}
