package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Op is the name of a call to a service.
type Op string

// The calls to Huma.
const (
	OpSignIn  Op = "sign in"
	OpSignUp  Op = "sign up"
	OpConsent Op = "sign consent"
)

// The calls to Human API.
const (
	OpSession Op = "session token"
	OpID      Op = "id token"
)

// StatusError is a response of the service with a status other than success. Apart from
// Code and RequestID it contains nothing of the response's text, which may hold
// personal data.
type StatusError struct {
	Op         Op
	Status     int           // HTTP status
	Code       string        // the service's own error code, a plain word; empty if there is none
	RequestID  string        // the service's id of the request, for its support; empty if there is none
	RetryAfter time.Duration // from the Retry-After header; 0 if there is none

	// Definite reports that Code is the service's decision, whatever the status is: the
	// same call would fail again, and a 5xx is not an outage.
	Definite bool
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.Op, e.Status)
	if e.Code != "" {
		text += ", code " + e.Code
	}
	if e.RequestID != "" {
		text += ", request ID " + e.RequestID
	}
	return text
}

// TransportError is a call that got no complete response.
type TransportError struct {
	Op      Op
	Sent    bool // bytes of the request may have reached the service
	Timeout bool // the response did not arrive in time
	Err     error
}

func (e *TransportError) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

// Unwrap returns the underlying error.
func (e *TransportError) Unwrap() error { return e.Err }

// ResponseError is a successful response that cannot be used: it is not JSON, too long,
// or without a token. Why contains nothing of the response.
type ResponseError struct {
	Op     Op
	Reason string
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("%s: invalid response: %s", e.Op, e.Reason)
}

// BreakerOpenError is a call that was not made because the circuit breaker is open.
type BreakerOpenError struct {
	RetryAfter time.Duration // until the breaker permits a call again
}

func (e *BreakerOpenError) Error() string {
	return "circuit breaker open: calls to the service are paused"
}

// OverloadError is a call that was not made because the limit of concurrent calls was
// reached and no running call ended in time.
type OverloadError struct{}

func (e *OverloadError) Error() string {
	return "too many concurrent calls to the service: the limit is the option `max_concurrent`"
}

// PanicError is an exchange that panicked. The value of the panic is dropped, because
// it may contain anything.
type PanicError struct {
	Stack []byte // for the operator's log
}

func (e *PanicError) Error() string { return "panic in the token exchange" }

// isOutageStatus reports whether an HTTP status means that the service is down: a 5xx,
// or a 408 (Request Timeout), with which the service gives up on the request.
func isOutageStatus(status int) bool { return status >= 500 || status == http.StatusRequestTimeout }

// IsOutage reports whether err means that the service is down: no connection, no
// response in time, a 5xx or a 408. A refusal, a 429, a canceled request and a definite
// response are not outages.
func IsOutage(err error) bool {
	var (
		status    *StatusError
		transport *TransportError
	)
	switch {
	case errors.As(err, &status):
		return isOutageStatus(status.Status) && !status.Definite
	case errors.As(err, &transport):
		return !errors.Is(transport.Err, context.Canceled)
	}
	return false
}

// IsTransient reports whether the same call may succeed on retry: after a connection
// error, no response in time, or a 408, 429, 502, 503 or 504, unless the response is
// definite.
func IsTransient(err error) bool {
	var (
		status    *StatusError
		transport *TransportError
	)
	switch {
	case errors.As(err, &status):
		switch status.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return !status.Definite
		}
	case errors.As(err, &transport):
		return !errors.Is(transport.Err, context.Canceled)
	}
	return false
}

// Code says why there is no token. It is the `code` of the endpoint's response.
type Code string

// The codes of an exchange.
const (
	CodeNotRegistered       Code = "not_registered"
	CodeRefused             Code = "refused"
	CodeConnectUnavailable  Code = "connect_unavailable"
	CodeRegistrationLimited Code = "registration_limited"
	CodeOverloaded          Code = "overloaded"
	CodeUnavailable         Code = "upstream_unavailable"
	CodeTimeout             Code = "upstream_timeout"
	CodeConfig              Code = "upstream_config"
	CodeRejected            Code = "upstream_rejected"
	CodeBadResponse         Code = "upstream_bad_response"
)

// Error is the error of an exchange that ended without a token.
type Error struct {
	Code       Code
	RetryAfter time.Duration // when to retry; 0 if unknown
	Err        error         // the cause, for the operator's log; may be nil

	at time.Time // when it was cached; zero if it was not
	by *Policy   // only with CodeRejected: the policy of the exchange that was rejected
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return fmt.Sprintf("%s: %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// isRefusal reports whether the service has refused the user. A refusal may be cached,
// which saves further calls, and replicas share it.
func (e *Error) isRefusal() bool {
	switch e.Code {
	case CodeNotRegistered, CodeRefused, CodeConnectUnavailable:
		return true
	}
	return false
}
