package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Op names a call at a service.
type Op string

// The calls at Huma.
const (
	OpSignIn  Op = "sign in"
	OpSignUp  Op = "sign up"
	OpConsent Op = "sign consent"
)

// The calls at Human API.
const (
	OpSession Op = "session token"
	OpID      Op = "id token"
)

// StatusError is an answer of the service with another status than success.
// It carries nothing of the answer's text, which may hold personal data.
type StatusError struct {
	Op         Op
	Status     int           // HTTP status
	Code       string        // the service's own error code, a plain word; empty if it gave none
	RequestID  string        // the service's id of the request, for its support; empty if it gave none
	RetryAfter time.Duration // from its Retry-After header; 0 if it gave none

	// Definite says that Code is the service's decision whatever the status
	// is: the same call has the same end, and a 5xx is no outage.
	Definite bool
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.Op, e.Status)
	if e.Code != "" {
		text += ", code " + e.Code
	}
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	return text
}

// TransportError is a call without a whole answer.
type TransportError struct {
	Op      Op
	Sent    bool // bytes of the request may have reached the service
	Timeout bool // the answer did not come in time
	Err     error
}

func (e *TransportError) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

// Unwrap returns what went wrong underneath.
func (e *TransportError) Unwrap() error { return e.Err }

// AnswerError is a success of the service that cannot be used: not JSON, too
// long, without a token. Why holds nothing of the answer.
type AnswerError struct {
	Op  Op
	Why string
}

func (e *AnswerError) Error() string { return fmt.Sprintf("%s: read answer: %s", e.Op, e.Why) }

// OpenError is a call that was not made because the breaker is open.
type OpenError struct {
	RetryAfter time.Duration // until it lets a call through again
}

func (e *OpenError) Error() string { return "the breaker is open after an outage of the service" }

// BusyError is a call that was not made because too many others were: none of
// them ended in time.
type BusyError struct{}

func (e *BusyError) Error() string {
	return "too many calls are at the service: the limit is set by the option `max_concurrent`"
}

// PanicError is an exchange that panicked. The panic's value is not kept: it
// may hold anything.
type PanicError struct {
	Stack []byte // for the operator's log
}

func (e *PanicError) Error() string { return "the exchange panicked" }

// isOutageStatus reports whether a status says that the service is down: a 5xx,
// or a 408, by which the service says that it gave up on the request.
func isOutageStatus(status int) bool { return status >= 500 || status == http.StatusRequestTimeout }

// IsOutage reports whether err says that the service is down: no connection,
// no answer in time, a 5xx or a 408. A refusal, a 429 and a caller who left do
// not, and neither does a definite answer.
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

// IsTransient reports whether the same call may succeed if it is made again:
// after an error of the connection, no answer in time, 408, 429, 502, 503, 504,
// unless the answer is definite.
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

// Code says why there is no token. It is the `code` of the endpoint's answer.
type Code string

// The codes that an exchange ends with.
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

// Error is an exchange that ended without a token.
type Error struct {
	Code       Code
	RetryAfter time.Duration // when it is worth asking again; 0 if nobody said
	Err        error         // what happened, for the operator's log; may be nil

	at time.Time // when it was kept, if it is a refusal that is repeated
	by *Policy   // of a rejection: whose exchange it ended
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return fmt.Sprintf("%s: %v", e.Code, e.Err)
}

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

// isRefusal reports whether the service has refused the user, which may be
// repeated for a while without calling it again. Replicas share that.
func (e *Error) isRefusal() bool {
	switch e.Code {
	case CodeNotRegistered, CodeRefused, CodeConnectUnavailable:
		return true
	}
	return false
}
