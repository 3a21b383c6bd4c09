package exchange

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Classify returns the Error that an exchange ends with if a call of it failed with
// err. It looks at the kind of the error and at the HTTP status alone: the package
// with the rules of a service adds what the service's own error codes say.
func Classify(err error) *Error {
	var (
		status    *StatusError
		transport *TransportError
		answer    *AnswerError
		open      *OpenError
		busy      *BusyError
	)
	e := &Error{Err: err}
	switch {
	case errors.As(err, &status):
		e.Code, e.RetryAfter = statusCode(status.Status), status.RetryAfter
	case errors.As(err, &transport) && (!transport.Timeout || !transport.Sent):
		e.Code = CodeUnavailable
	case errors.As(err, &answer):
		e.Code = CodeBadResponse
	case errors.As(err, &open):
		e.Code, e.RetryAfter = CodeUnavailable, open.RetryAfter
	case errors.As(err, &busy):
		e.Code, e.RetryAfter = CodeOverloaded, time.Second
	case errors.As(err, &transport), errors.Is(err, context.DeadlineExceeded):
		e.Code = CodeTimeout
	default:
		e.Code = CodeUnavailable
	}
	return e
}

func statusCode(status int) Code {
	switch {
	case status == http.StatusTooManyRequests, isOutageStatus(status):
		return CodeUnavailable
	case status == http.StatusUnauthorized:
		return CodeConfig
	case status >= 400:
		return CodeRejected
	}
	return CodeBadResponse // a redirect, or something stranger
}

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

// CallResultOf returns the result of a call that failed. e is the error as the rules
// of the service classify it; refused says that it refuses the user of the call.
func CallResultOf(e *Error, refused bool) CallResult {
	var status *StatusError
	isStatus := errors.As(e.Err, &status)
	switch {
	case refused:
		return CallRefused
	case e.Code == CodeConfig:
		return CallConfig
	case e.Code == CodeRejected:
		return CallRejected
	case e.Code == CodeTimeout:
		return CallTimeout
	case e.Code == CodeBadResponse:
		return CallBadResponse
	case isStatus && status.Status == http.StatusTooManyRequests:
		return CallLimited
	case isStatus:
		return CallError
	}
	return CallUnreachable
}
