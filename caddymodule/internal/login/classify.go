package login

import (
	"errors"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// codeUserExists is Huma's error code of a sign-up whose user exists.
const codeUserExists = "100010"

// humaCodes maps the error codes that Huma has published to the Code that the
// endpoint answers. 300011 (user does not exist) is not among them: like a 403
// without a code, or with one that is not published, it leads to a sign-up.
var humaCodes = map[string]exchange.Code{
	"10001":        exchange.CodeConfig,   // token expired: one that header_up sends
	"10002":        exchange.CodeConfig,   // wrong token
	"100001":       exchange.CodeConfig,   // invalid project id
	"100002":       exchange.CodeConfig,   // invalid client id
	"100003":       exchange.CodeRejected, // invalid request
	"100004":       exchange.CodeConfig,   // forbidden id
	"100006":       exchange.CodeConfig,   // unauthorized
	codeUserExists: exchange.CodeRejected,
	"100012":       exchange.CodeRefused, // wrong password
	"100015":       exchange.CodeRefused, // e-mail not verified
}

// isUnknownUser reports whether the service does not know the user: a 403
// without one of the codes that say something else.
func isUnknownUser(err error) bool {
	var status *exchange.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusForbidden {
		return false
	}
	_, known := humaCodes[status.Code]
	return !known
}

// isExisting reports whether a sign-up says that the user exists.
func isExisting(err error) bool {
	var status *exchange.StatusError
	return errors.As(err, &status) && (status.Code == codeUserExists || status.Status == http.StatusConflict)
}

// isUnclear reports whether a sign-up may have created the user although it
// did not say so: the service had the request, and gave no definite answer.
func isUnclear(err error) bool {
	var (
		status    *exchange.StatusError
		transport *exchange.TransportError
		answer    *exchange.AnswerError
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

// classify is exchange.Classify with what Huma's own codes say. They outrank the
// status of a 4xx, except a 401, which always refuses our credentials. Those of
// a service that is down or limits us do not count.
func classify(err error) *exchange.Error {
	e := exchange.Classify(err)
	var status *exchange.StatusError
	if e.Code == exchange.CodeRejected && errors.As(err, &status) {
		if code, known := humaCodes[status.Code]; known {
			e.Code = code
		}
	}
	return e
}

// classifyUnclear is classify for a sign-up with an unclear end: even if it
// was too late it is worth asking again soon, for the user may appear.
func classifyUnclear(err error) *exchange.Error {
	e := classify(err)
	if e.Code == exchange.CodeTimeout || e.Code == exchange.CodeUnavailable || e.Code == exchange.CodeRejected {
		e.Code, e.RetryAfter = exchange.CodeUnavailable, max(e.RetryAfter, holdRetry)
	}
	return e
}

// CallResult returns the result of one attempt at a call at Huma for metrics.
// err is the error of the attempt, nil if it succeeded.
func CallResult(_ exchange.Op, err error) exchange.CallResult {
	if err == nil {
		return exchange.CallOK
	}
	e := classify(err)
	return exchange.CallResultOf(e, e.Code == exchange.CodeRefused || e.Code == exchange.CodeRejected && (isUnknownUser(err) || isExisting(err)))
}

// SignUpResult is what came of a sign-up, in a word for metrics.
type SignUpResult string

// The results of a sign-up.
const (
	SignUpCreated SignUpResult = "created" // the service has created the user
	SignUpExists  SignUpResult = "exists"  // it knew the user already
	SignUpRefused SignUpResult = "refused" // it refuses the user
	SignUpUnclear SignUpResult = "unclear" // it gave no definite answer: only sign-in decides from now on
	SignUpFailed  SignUpResult = "failed"  // it definitely created nobody: not reached, or our request is wrong
	SignUpLimited SignUpResult = "limited" // not sent: the brake has nothing left
)

// signUpResult classes the error of a sign-up that was sent, or tried.
func signUpResult(err error) SignUpResult {
	switch {
	case err == nil:
		return SignUpCreated
	case isUnclear(err):
		return SignUpUnclear
	case isExisting(err):
		return SignUpExists
	case isUnknownUser(err), classify(err).Code == exchange.CodeRefused:
		return SignUpRefused
	}
	return SignUpFailed
}
