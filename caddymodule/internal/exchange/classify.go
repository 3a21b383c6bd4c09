package exchange

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Classify returns the Error of an exchange in which a call failed with err. It
// evaluates only the type of err and the HTTP status. The packages login and connect
// add the meaning of the services' own error codes.
func Classify(err error) *Error {
	var (
		status    *StatusError
		transport *TransportError
		response  *ResponseError
		open      *BreakerOpenError
		busy      *OverloadError
	)
	e := &Error{Err: err}
	switch {
	case errors.As(err, &status):
		e.Code, e.RetryAfter = statusCode(status.Status), status.RetryAfter
	case errors.As(err, &transport) && (!transport.Timeout || !transport.Sent):
		e.Code = CodeUnavailable
	case errors.As(err, &response):
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
	return CodeBadResponse // a redirect, or an unexpected status
}

// CallResult is the result of one call to a service, as a label value for metrics.
type CallResult string

// The results of a call that was sent.
const (
	CallOK          CallResult = "ok"
	CallRefused     CallResult = "refused"      // the service refuses this user: unknown, already exists, or no such token
	CallLimited     CallResult = "limited"      // 429
	CallConfig      CallResult = "config"       // the service refuses our credentials or ids
	CallRejected    CallResult = "rejected"     // any other 4xx: our request is invalid
	CallError       CallResult = "error"        // 5xx or 408
	CallTimeout     CallResult = "timeout"      // no response in time
	CallUnreachable CallResult = "unreachable"  // no connection, or the connection broke
	CallBadResponse CallResult = "bad_response" // a response that cannot be used
)

// CallResultOf returns the result of a failed call. e is the error as the service's
// package classifies it. refused says that the service refuses the user of the call.
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
