package caddymodule

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

// problem is a kind of error that the endpoint answers with.
type problem struct {
	status  int
	outcome exchange.Outcome
	title   string
	detail  string // what there is to do; names the option where there is one
}

// The outcomes of requests that end without a token.
const (
	outcomeRejected      exchange.Outcome = "rejected"
	outcomeRefused       exchange.Outcome = "refused"
	outcomeLimited       exchange.Outcome = "limited"
	outcomeUnavailable   exchange.Outcome = "unavailable"
	outcomeTimeout       exchange.Outcome = "timeout"
	outcomeMisconfigured exchange.Outcome = "misconfigured"
	outcomeBadResponse   exchange.Outcome = "bad_response"
	outcomeCanceled      exchange.Outcome = "canceled"
	outcomeEvicted       exchange.Outcome = "evicted"
)

// The codes of requests that are refused before there is an exchange.
const (
	codeCrossSite          exchange.Code = "cross_site"
	codeClientTypeRequired exchange.Code = "client_type_required"
	codeClientTypeUnknown  exchange.Code = "client_type_unknown"
	codeBodyInvalid        exchange.Code = "body_invalid"
	codeMethodNotAllowed   exchange.Code = "method_not_allowed"
	codeInternal           exchange.Code = "internal_error" // a mistake of ours
)

// problemTable is every error of the endpoint.
var problemTable = map[exchange.Code]problem{
	exchange.Code(identity.ReasonMissing): {http.StatusUnauthorized, outcomeRejected, "Not signed in",
		"The request is not authenticated."},
	exchange.Code(identity.ReasonAmbiguous): {http.StatusUnauthorized, outcomeRejected, "More than one identity",
		"The request names more than one user."},
	exchange.Code(identity.ReasonInvalid): {http.StatusUnauthorized, outcomeRejected, "Unusable identity",
		"The credentials of the request are not valid, or do not name one user by an e-mail address."},
	exchange.Code(identity.ReasonUntrusted): {http.StatusUnauthorized, outcomeRejected, "Identity not trusted",
		"The request did not pass the authentication of this site."},
	exchange.Code(identity.ReasonEmailUnverified): {http.StatusForbidden, outcomeRejected, "E-mail address not verified",
		"The address of this account has to be verified first."},
	exchange.Code(identity.ReasonDomainNotAllowed): {http.StatusForbidden, outcomeRejected, "E-mail domain not allowed",
		"Addresses of this domain are not served; see the option domains."},
	exchange.Code(identity.ReasonUserinfoUnavailable): {http.StatusServiceUnavailable, outcomeUnavailable, "Identity unavailable",
		"The application cannot say at the moment who is asking; see the option userinfo."},
	codeCrossSite: {http.StatusForbidden, outcomeRejected, "Cross-site request",
		"A browser sent this request for a page of another site (Sec-Fetch-Site or Origin); see the option cross_site."},
	codeClientTypeRequired: {http.StatusBadRequest, outcomeRejected, "Client type required",
		"Name the client type, for example ?client_type=ios, or set the option client_type."},
	codeClientTypeUnknown: {http.StatusBadRequest, outcomeRejected, "Unknown client type",
		"The client type is one of ios, android and web, given once, and the option client_id has an id for it."},
	codeBodyInvalid: {http.StatusBadRequest, outcomeRejected, "Unusable body",
		"The body is a form or one JSON object of at most 4096 bytes, or empty."},
	codeMethodNotAllowed: {http.StatusMethodNotAllowed, outcomeRejected, "Method not allowed",
		"Use GET or POST for a token, DELETE to forget it."},
	codeInternal: {http.StatusInternalServerError, outcomeUnavailable, "Internal error",
		"This request met a mistake of the program; the log of the server has more."},
	exchange.CodeNotRegistered: {http.StatusForbidden, outcomeRefused, "Not registered",
		"This user is not registered, and registration is off."},
	exchange.CodeRefused: {http.StatusForbidden, outcomeRefused, "Refused",
		"The service refuses to sign this user in and to register them."},
	exchange.CodeConnectUnavailable: {http.StatusConflict, outcomeRefused, "Connect unavailable",
		"Human API gives this user neither a session nor an id token; its support may know why."},
	exchange.CodeRegistrationLimited: {http.StatusServiceUnavailable, outcomeLimited, "Too many registrations",
		"Too many users are being registered at the moment; see the option registration."},
	exchange.CodeOverloaded: {http.StatusServiceUnavailable, outcomeLimited, "Overloaded",
		"Too many exchanges are waiting; see the options max_waiting and max_concurrent."},
	exchange.CodeUnavailable: {http.StatusServiceUnavailable, outcomeUnavailable, "Service unavailable",
		"The service cannot give a token at the moment."},
	exchange.CodeTimeout: {http.StatusGatewayTimeout, outcomeTimeout, "Service timed out",
		"The service did not answer in time; see the option timeout."},
	exchange.CodeConfig: {http.StatusBadGateway, outcomeMisconfigured, "Credentials refused",
		"The service refuses the credentials of this site; see the options secret, signature, project_id, deployment_id and client_id."},
	exchange.CodeRejected: {http.StatusBadGateway, outcomeMisconfigured, "Request refused",
		"The service refuses the request of this site as wrong; see the options api and registration."},
	exchange.CodeBadResponse: {http.StatusBadGateway, outcomeBadResponse, "Unusable answer",
		"The service's answer holds no token; see the option api."},
}

// problemTypePrefix and a code make the type of a problem: the section of the
// documentation that says what to do.
const problemTypePrefix = "https://github.com/caddy-huma/caddy-huma#"

// failure is one error of one request.
type failure struct {
	code       exchange.Code
	hint       string        // more exact than the table's detail; a constant text
	retryAfter time.Duration // 0: the service did not say
	challenge  string        // of a 401; empty: challenge

	problem // of the code, set when it is answered
}

// failureOf says what an error of an exchange or of the identity is answered
// with.
func failureOf(err error) failure {
	var (
		failed   *exchange.Error
		rejected *identity.Rejection
	)
	switch {
	case errors.As(err, &rejected):
		f := failure{code: exchange.Code(rejected.Reason), hint: rejected.Hint}
		if rejected.IsInvalidToken() {
			f.challenge = challengeInvalidToken
		}
		return f
	case errors.Is(err, exchange.ErrUserOverloaded):
		return failure{code: exchange.CodeOverloaded, retryAfter: time.Second, hint: "they are of this user alone"}
	case errors.As(err, &failed):
		return failure{code: failed.Code, retryAfter: failed.RetryAfter}
	}
	return failure{code: exchange.CodeUnavailable}
}

// Error implements error, for handle_errors and Caddy's error log: it holds
// nothing of the request and nothing of the service's answer.
func (f failure) Error() string {
	return string(f.code) + ": " + cmp.Or(f.hint, f.detail)
}

// body is the problem as RFC 9457 writes it.
func (f failure) body() []byte {
	detail := f.detail
	if f.hint != "" && f.status != http.StatusUnauthorized { // that is for the operator: the log has it
		detail += " (" + f.hint + ")"
	}
	b, _ := json.Marshal(struct {
		Type   string        `json:"type"`
		Title  string        `json:"title"`
		Status int           `json:"status"`
		Detail string        `json:"detail"`
		Code   exchange.Code `json:"code"`
	}{problemTypePrefix + string(f.code), f.title, f.status, detail, f.code}) // texts always have a JSON form
	return b
}

// What Retry-After says.
const (
	leastRetryAfter   = time.Second
	mostRetryAfter    = time.Minute
	defaultRetryAfter = 5 * time.Second
)

// problemOf returns the row of a code, with the detail of details if there is one.
func problemOf(code exchange.Code, details map[exchange.Code]string) problem {
	row := problemTable[code]
	row.detail = cmp.Or(details[code], row.detail)
	return row
}

// The challenges of a 401, which has to have one (RFC 9110, section 15.5.2). A
// request without a token is told no error (RFC 6750, section 3.1).
const (
	challenge             = "Bearer"
	challengeInvalidToken = `Bearer error="invalid_token"`
)

// setHeaders sets the headers of a response with this error, those that all
// responses have not included.
func (f failure) setHeaders(h http.Header) {
	if f.status == http.StatusServiceUnavailable {
		after := min(max(cmp.Or(f.retryAfter, defaultRetryAfter), leastRetryAfter), mostRetryAfter)
		seconds := (after + time.Second - 1) / time.Second // never before the service is ready
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", cmp.Or(f.challenge, challenge))
	}
}
