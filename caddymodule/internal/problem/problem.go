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
	exchange.Code(identity.ReasonMissing): {http.StatusUnauthorized, OutcomeRejected, "Not signed in",
		"The request is not authenticated."},
	exchange.Code(identity.ReasonAmbiguous): {http.StatusUnauthorized, OutcomeRejected, "More than one identity",
		"The request names more than one user."},
	exchange.Code(identity.ReasonInvalid): {http.StatusUnauthorized, OutcomeRejected, "Unusable identity",
		"The credentials of the request are not valid, or do not name one user by an e-mail address."},
	exchange.Code(identity.ReasonUntrusted): {http.StatusUnauthorized, OutcomeRejected, "Identity not trusted",
		"The request did not pass the authentication of this site."},
	exchange.Code(identity.ReasonEmailUnverified): {http.StatusForbidden, OutcomeRejected, "E-mail address not verified",
		"The address of this account has to be verified first."},
	exchange.Code(identity.ReasonDomainNotAllowed): {http.StatusForbidden, OutcomeRejected, "E-mail domain not allowed",
		"Addresses of this domain are not served; see the option domains."},
	exchange.Code(identity.ReasonForbidden): {http.StatusForbidden, OutcomeRejected, "Access denied",
		"The user is signed in, but access is denied."},
	exchange.Code(identity.ReasonUnavailable): {http.StatusServiceUnavailable, OutcomeUnavailable, "Identity unavailable",
		"The user cannot be identified at the moment; see the options auth_server, userinfo and verify."},
	CrossSite: {http.StatusForbidden, OutcomeRejected, "Cross-site request",
		"A browser sent this request for a page of another site (Sec-Fetch-Site or Origin); see the option cross_site."},
	ClientTypeRequired: {http.StatusBadRequest, OutcomeRejected, "Client type required",
		"Name the client type, for example ?client_type=ios, or set the option client_type."},
	ClientTypeUnknown: {http.StatusBadRequest, OutcomeRejected, "Unknown client type",
		"The client type is one of ios, android and web, given once, and the option client_id has an id for it."},
	BodyInvalid: {http.StatusBadRequest, OutcomeRejected, "Unusable body",
		"The body is a form or one JSON object of at most 4096 bytes, or empty."},
	MethodNotAllowed: {http.StatusMethodNotAllowed, OutcomeRejected, "Method not allowed",
		"Use GET or POST for a token, DELETE to forget it."},
	Internal: {http.StatusInternalServerError, OutcomeUnavailable, "Internal error",
		"This request met a mistake of the program; the log of the server has more."},
	exchange.CodeNotRegistered: {http.StatusForbidden, OutcomeRefused, "Not registered",
		"This user is not registered, and registration is off."},
	exchange.CodeRefused: {http.StatusForbidden, OutcomeRefused, "Refused",
		"The service refuses to sign this user in and to register them."},
	exchange.CodeConnectUnavailable: {http.StatusConflict, OutcomeRefused, "Connect unavailable",
		"Human API gives this user neither a session nor an id token; its support may know why."},
	exchange.CodeRegistrationLimited: {http.StatusServiceUnavailable, OutcomeLimited, "Too many registrations",
		"Too many users are being registered at the moment; see the option registration."},
	exchange.CodeOverloaded: {http.StatusServiceUnavailable, OutcomeLimited, "Overloaded",
		"Too many exchanges are waiting; see the options max_waiting and max_concurrent."},
	exchange.CodeUnavailable: {http.StatusServiceUnavailable, OutcomeUnavailable, "Service unavailable",
		"The service cannot give a token at the moment."},
	exchange.CodeTimeout: {http.StatusGatewayTimeout, OutcomeTimeout, "Service timed out",
		"The service did not answer in time; see the option timeout."},
	exchange.CodeConfig: {http.StatusBadGateway, OutcomeMisconfigured, "Credentials refused",
		"The service refuses the credentials of this site; see the options secret, signature, project_id, deployment_id and client_id."},
	exchange.CodeRejected: {http.StatusBadGateway, OutcomeMisconfigured, "Request refused",
		"The service refuses the request of this site as wrong; see the options api and registration."},
	exchange.CodeBadResponse: {http.StatusBadGateway, OutcomeBadResponse, "Unusable answer",
		"The service's answer holds no token; see the option api."},
}

// problemTypePrefix and the code make up the member type of the response (RFC 9457,
// section 3.1.1): the URL of the section of the documentation that says what to do.
const problemTypePrefix = "https://github.com/caddy-huma/caddy-huma#"

// Error is the error of one request.
type Error struct {
	Code       exchange.Code
	Hint       string        // more specific than Detail; a constant text, so it holds nothing of the request; may be empty
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
		f := Error{Code: exchange.Code(rejected.Reason), Hint: rejected.Hint}
		if rejected.IsInvalidToken() {
			f.challenge = challengeInvalidToken
		}
		return f
	case errors.Is(err, exchange.ErrUserOverloaded):
		return Error{Code: exchange.CodeOverloaded, retryAfter: time.Second, Hint: "they are of this user alone"}
	case errors.As(err, &failed):
		return Error{Code: failed.Code, retryAfter: failed.RetryAfter}
	}
	return Error{Code: exchange.CodeUnavailable}
}

// Error implements error, for handle_errors and Caddy's error log. The text holds nothing
// of the request and nothing of the service's response.
func (f Error) Error() string {
	return string(f.Code) + ": " + cmp.Or(f.Hint, f.Detail)
}

// JSON returns the body of the response: a problem details object (RFC 9457, section 3)
// with the extension member code. The Kind must be set.
func (f Error) JSON() []byte {
	detail := f.Detail
	if f.Hint != "" && f.Status != http.StatusUnauthorized { // the hint of a 401 is for the operator only: see the log
		detail += " (" + f.Hint + ")"
	}
	b, _ := json.Marshal(struct {
		Type   string        `json:"type"`
		Title  string        `json:"title"`
		Status int           `json:"status"`
		Detail string        `json:"detail"`
		Code   exchange.Code `json:"code"`
	}{problemTypePrefix + string(f.Code), f.title, f.Status, detail, f.Code}) // strings and an int: cannot fail
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
func (f Error) SetHeaders(h http.Header) {
	if f.Status == http.StatusServiceUnavailable {
		after := min(max(cmp.Or(f.retryAfter, defaultRetryAfter), minRetryAfter), maxRetryAfter)
		seconds := (after + time.Second - 1) / time.Second // round up: the service is not ready before
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", cmp.Or(f.challenge, challenge))
	}
}
