// Package problem defines the errors of the endpoint: their codes, and their responses
// (RFC 9457).
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// Kind is a kind of error. All errors with the same code are of the same kind.
type Kind struct {
	Status  int              // the HTTP status of the response
	Outcome exchange.Outcome // the outcome in metrics and the access log
	title   string           // the member title of the response
	Detail  string           // the member detail: what to do, with the name of the option if there is one
}

// The outcomes of requests that end without a token.
const (
	OutcomeRejected      exchange.Outcome = "rejected"
	OutcomeRefused       exchange.Outcome = "refused"
	OutcomeLimited       exchange.Outcome = "limited"
	OutcomeUnavailable   exchange.Outcome = "unavailable"
	OutcomeTimeout       exchange.Outcome = "timeout"
	OutcomeMisconfigured exchange.Outcome = "misconfigured"
	OutcomeBadResponse   exchange.Outcome = "bad_response"
	OutcomeCanceled      exchange.Outcome = "canceled"
	OutcomeEvicted       exchange.Outcome = "evicted"
)

// The codes of errors that do not come from an exchange or from the identity.
const (
	CrossSite          exchange.Code = "cross_site"
	ClientTypeRequired exchange.Code = "client_type_required"
	ClientTypeUnknown  exchange.Code = "client_type_unknown"
	BodyInvalid        exchange.Code = "body_invalid"
	MethodNotAllowed   exchange.Code = "method_not_allowed"
	Internal           exchange.Code = "internal_error" // a panic: a bug of the plugin
)

// Table maps the code of every error of the endpoint to its kind.
var Table = map[exchange.Code]Kind{
	exchange.Code(identity.ReasonMissing): {http.StatusUnauthorized, OutcomeRejected, "Unauthenticated",
		"The request is not authenticated."},
	exchange.Code(identity.ReasonAmbiguous): {http.StatusUnauthorized, OutcomeRejected, "Ambiguous identity",
		"The request contains more than one identity."},
	exchange.Code(identity.ReasonInvalid): {http.StatusUnauthorized, OutcomeRejected, "Invalid identity",
		"The credentials of the request are not valid, or do not identify one user by email address."},
	exchange.Code(identity.ReasonUntrusted): {http.StatusUnauthorized, OutcomeRejected, "Untrusted identity",
		"The request did not pass through the authentication of this site."},
	exchange.Code(identity.ReasonEmailUnverified): {http.StatusForbidden, OutcomeRejected, "Email address not verified",
		"The email address of this account must be verified first."},
	exchange.Code(identity.ReasonDomainNotAllowed): {http.StatusForbidden, OutcomeRejected, "Email domain not allowed",
		"Email addresses of this domain are not allowed; see the option domains."},
	exchange.Code(identity.ReasonForbidden): {http.StatusForbidden, OutcomeRejected, "Access denied",
		"The user is authenticated, but access is denied."},
	exchange.Code(identity.ReasonUnavailable): {http.StatusServiceUnavailable, OutcomeUnavailable, "Identity unavailable",
		"The user cannot be identified at the moment; see the options auth_server, userinfo and verify."},
	CrossSite: {http.StatusForbidden, OutcomeRejected, "Cross-site request",
		"A browser sent this request on behalf of a page of another site (Sec-Fetch-Site or Origin); see the options cross_site and allow_origins."},
	ClientTypeRequired: {http.StatusBadRequest, OutcomeRejected, "Client type required",
		"Send a client type, for example ?client_type=ios, or set the option client_type."},
	ClientTypeUnknown: {http.StatusBadRequest, OutcomeRejected, "Unknown client type",
		"The client type must be ios, android or web, must be sent once, and must have an ID in the option client_id."},
	BodyInvalid: {http.StatusBadRequest, OutcomeRejected, "Invalid body",
		"The body must be empty, a form (application/x-www-form-urlencoded) or a JSON object (application/json) of at most 4096 bytes, in which client_type is a string."},
	MethodNotAllowed: {http.StatusMethodNotAllowed, OutcomeRejected, "Method not allowed",
		"Use GET or POST to get a token, or DELETE to evict it from the cache."},
	Internal: {http.StatusInternalServerError, OutcomeUnavailable, "Internal error",
		"An internal error occurred, which is a bug; see the log of the server."},
	exchange.CodeNotRegistered: {http.StatusForbidden, OutcomeRefused, "Not registered",
		"The service does not know this user, and registration is off."},
	exchange.CodeRefused: {http.StatusForbidden, OutcomeRefused, "User refused",
		"The service refuses to sign in or sign up this user."},
	exchange.CodeConnectUnavailable: {http.StatusConflict, OutcomeRefused, "Connect unavailable",
		"Human API issues neither a session token nor an id token for this user; ask its support."},
	exchange.CodeRegistrationLimited: {http.StatusServiceUnavailable, OutcomeLimited, "Too many sign-ups",
		"The rate limit for sign-ups is exceeded; see the option registration."},
	exchange.CodeOverloaded: {http.StatusServiceUnavailable, OutcomeLimited, "Overloaded",
		"Too many token exchanges are running or waiting; see the options max_waiting and max_concurrent."},
	exchange.CodeUnavailable: {http.StatusServiceUnavailable, OutcomeUnavailable, "Service unavailable",
		"The service cannot issue a token at the moment."},
	exchange.CodeTimeout: {http.StatusGatewayTimeout, OutcomeTimeout, "Service timed out",
		"The service did not respond in time; see the option timeout."},
	exchange.CodeConfig: {http.StatusBadGateway, OutcomeMisconfigured, "Credentials rejected",
		"The service rejects the credentials of this site; see the options secret, signature, header_up, project_id, deployment_id and client_id."},
	exchange.CodeRejected: {http.StatusBadGateway, OutcomeMisconfigured, "Request rejected",
		"The service rejects the request of this site as invalid; see the options api, sign_in, sign_up and registration."},
	exchange.CodeBadResponse: {http.StatusBadGateway, OutcomeBadResponse, "Invalid response",
		"The response of the service contains no token; see the option api."},
}

// TypePrefix and the code make up the member type of the response (RFC 9457,
// section 3.1.1): the URL of the section of the documentation that says what to do.
const TypePrefix = "https://github.com/caddy-huma/caddy-huma/blob/main/docs/errors.md#"

// Error is the error of one request.
type Error struct {
	Code       exchange.Code
	Hint       string        // more specific than Detail; a constant text, so it contains no data of the request; may be empty
	retryAfter time.Duration // the service's; 0: unknown
	challenge  string        // the value of WWW-Authenticate in a 401; empty: the constant challenge

	Kind // the kind of Code; zero until it is set from Lookup, before the response
}

// Of returns the Error for an error of an exchange or of the identity. Its Kind is not
// set. For any other error the code is exchange.CodeUnavailable.
func Of(err error) Error {
	var (
		failed   *exchange.Error
		rejected *identity.Rejection
	)
	switch {
	case errors.As(err, &rejected):
		e := Error{Code: exchange.Code(rejected.Reason), Hint: rejected.Hint}
		if rejected.IsInvalidToken() {
			e.challenge = challengeInvalidToken
		}
		return e
	case errors.Is(err, exchange.ErrUserOverloaded):
		return Error{Code: exchange.CodeOverloaded, retryAfter: time.Second, Hint: "too many concurrent exchanges for one user"}
	case errors.As(err, &failed):
		return Error{Code: failed.Code, retryAfter: failed.RetryAfter}
	}
	return Error{Code: exchange.CodeUnavailable}
}

// Error implements error, for handle_errors and Caddy's error log. The text contains no
// data of the request or of the service's response.
func (e Error) Error() string {
	return string(e.Code) + ": " + cmp.Or(e.Hint, e.Detail)
}

// JSON returns the body of the response: a problem details object (RFC 9457, section 3)
// with the extension member code. The Kind must be set.
func (e Error) JSON() []byte {
	detail := e.Detail
	if e.Hint != "" && e.Status != http.StatusUnauthorized { // the hint of a 401 is for the operator only: see the log
		detail += " (" + e.Hint + ")"
	}
	b, _ := json.Marshal(struct {
		Type   string        `json:"type"`
		Title  string        `json:"title"`
		Status int           `json:"status"`
		Detail string        `json:"detail"`
		Code   exchange.Code `json:"code"`
	}{TypePrefix + string(e.Code), e.title, e.Status, detail, e.Code}) // strings and an int: cannot fail
	return b
}

// The limits and the default of Retry-After.
const (
	minRetryAfter     = time.Second
	maxRetryAfter     = time.Minute
	defaultRetryAfter = 5 * time.Second
)

// Lookup returns the kind of a code, from Table. If details has a detail for the code, it
// replaces the one of Table. details may be nil.
func Lookup(code exchange.Code, details map[exchange.Code]string) Kind {
	row := Table[code]
	row.Detail = cmp.Or(details[code], row.Detail)
	return row
}

// The values of WWW-Authenticate, which a 401 must have (RFC 9110, section 15.5.2). The
// challenge for a request without a token has no error code (RFC 6750, section 3.1).
const (
	challenge             = "Bearer"
	challengeInvalidToken = `Bearer error="invalid_token"`
)

// SetHeaders sets the headers that depend on the error: Retry-After in a 503, and
// WWW-Authenticate in a 401. It does not set the headers that all responses have. The
// Kind must be set.
func (e Error) SetHeaders(h http.Header) {
	if e.Status == http.StatusServiceUnavailable {
		after := min(max(cmp.Or(e.retryAfter, defaultRetryAfter), minRetryAfter), maxRetryAfter)
		seconds := (after + time.Second - 1) / time.Second // round up: the service is not ready before
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", cmp.Or(e.challenge, challenge))
	}
}
