package exchange

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// failure says which of the endpoint's errors a call's error is. It judges a
// status by nothing but that: what a service's own codes say is the matter of
// the rules for that service.
func failure(err error) *Error {
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
