package exchange

import (
	"errors"
	"net/http"
)

// CallResult is how one call at a service ended, in a word for metrics.
type CallResult string

// The results of a call that was made.
const (
	CallOK          CallResult = "ok"
	CallRefused     CallResult = "refused"      // the service says no to this user: not known, known already, no such token
	CallLimited     CallResult = "limited"      // 429
	CallConfig      CallResult = "config"       // it refuses our credentials or ids
	CallRejected    CallResult = "rejected"     // any other 4xx: our request is wrong
	CallError       CallResult = "error"        // 5xx or 408
	CallTimeout     CallResult = "timeout"      // no answer in time
	CallUnreachable CallResult = "unreachable"  // no connection, or it broke
	CallBadResponse CallResult = "bad_response" // an answer that cannot be used
)

// CallResultOf classes the error of one attempt at a call as the rules for its
// service do.
func CallResultOf(op Op, err error) CallResult {
	if err == nil {
		return CallOK
	}
	code, isUsers := judge(op, err)
	var status *StatusError
	isStatus := errors.As(err, &status)
	switch {
	case isUsers:
		return CallRefused
	case code == CodeConfig:
		return CallConfig
	case code == CodeRejected:
		return CallRejected
	case code == CodeTimeout:
		return CallTimeout
	case code == CodeBadResponse:
		return CallBadResponse
	case isStatus && status.Status == http.StatusTooManyRequests:
		return CallLimited
	case isStatus:
		return CallError
	}
	return CallUnreachable
}

// judge finds out what an error means if nothing is tried after it, and whether
// it is about the user.
func judge(op Op, err error) (code Code, isUsers bool) {
	switch op {
	case OpSession, OpID:
		code = connectFailure(err).Code
		isUsers = op == OpSession && SessionToken.refusedBy(err) || op == OpID && IDToken.refusedBy(err)
		return code, isUsers || code == CodeConnectUnavailable
	}
	code = loginFailure(err).Code
	return code, code == CodeRefused || code == CodeRejected && (isUnknownUser(err) || isExisting(err))
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
	case isUnknownUser(err), loginFailure(err).Code == CodeRefused:
		return SignUpRefused
	}
	return SignUpFailed
}
