package login

import (
	"errors"
	"net/http"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// codeUserExists is Huma's error code for a sign-up of an existing user.
const codeUserExists = "100010"

// humaCodes maps the error codes that Huma has published to the Code of the endpoint's
// response. 300011 (user does not exist) is not in the map: like a 403 without a code,
// or with an unpublished one, it leads to a sign-up.
var humaCodes = map[string]exchange.Code{
	"10001":        exchange.CodeConfig,   // token expired: the one that header_up sends
	"10002":        exchange.CodeConfig,   // wrong token
	"100001":       exchange.CodeConfig,   // invalid project id
	"100002":       exchange.CodeConfig,   // invalid client id
	"100003":       exchange.CodeRejected, // invalid request
	"100004":       exchange.CodeConfig,   // forbidden id
	"100006":       exchange.CodeConfig,   // unauthorized
	codeUserExists: exchange.CodeRejected,
	"100012":       exchange.CodeRefused, // wrong password
	"100015":       exchange.CodeRefused, // email not verified
}

// isUnknownUser reports whether the service does not know the user: a 403 without any
// of the codes in humaCodes.
func isUnknownUser(err error) bool {
	var status *exchange.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusForbidden {
		return false
	}
	_, known := humaCodes[status.Code]
	return !known
}

// isExisting reports whether the response to a sign-up says that the user exists.
func isExisting(err error) bool {
	var status *exchange.StatusError
	return errors.As(err, &status) && (status.Code == codeUserExists || status.Status == http.StatusConflict)
}

// isUnclear reports whether a failed sign-up may have created the user: the service may
// have received the request, and gave no definite response.
func isUnclear(err error) bool {
	var (
		status    *exchange.StatusError
		transport *exchange.TransportError
		response  *exchange.ResponseError
	)
	switch {
	case errors.As(err, &status):
		// A redirect may be the response to a form that was processed.
		return status.Status >= 500 || status.Status == http.StatusRequestTimeout || status.Status < 400
	case errors.As(err, &transport):
		return transport.Sent
	case errors.As(err, &response):
		return true
	}
	return false
}

// classify is exchange.Classify with the meaning of Huma's own codes. They take
// precedence over the status of a 4xx, except for 401, which always means that the
// credentials were refused. They are ignored if the service is down or limits the rate.
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

// classifyUnclear is classify for a sign-up with an unclear end. The user may appear
// soon, so the error asks the client to retry, even after a timeout.
func classifyUnclear(err error) *exchange.Error {
	e := classify(err)
	if e.Code == exchange.CodeTimeout || e.Code == exchange.CodeUnavailable || e.Code == exchange.CodeRejected {
		e.Code, e.RetryAfter = exchange.CodeUnavailable, max(e.RetryAfter, holdRetry)
	}
	return e
}

// CallResult returns the result of one attempt of a call to Huma, for metrics. err is
// the error of the attempt, nil if it succeeded.
func CallResult(_ exchange.Op, err error) exchange.CallResult {
	if err == nil {
		return exchange.CallOK
	}
	e := classify(err)
	return exchange.CallResultOf(e, e.Code == exchange.CodeRefused || e.Code == exchange.CodeRejected && (isUnknownUser(err) || isExisting(err)))
}

// SignUpResult is the result of a sign-up, as a label value for metrics.
type SignUpResult string

// The results of a sign-up.
const (
	SignUpCreated SignUpResult = "created" // the service has created the user
	SignUpExists  SignUpResult = "exists"  // the service already had the user
	SignUpRefused SignUpResult = "refused" // the service refuses the user
	SignUpUnclear SignUpResult = "unclear" // no definite response: from now on only sign-in decides
	SignUpFailed  SignUpResult = "failed"  // no user was created: the service was not reached, or our request is invalid
	SignUpLimited SignUpResult = "limited" // not sent: the rate limit of sign-ups is used up
)

// signUpResult classifies the error of a sign-up. The sign-up was sent, or could not be
// sent.
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
