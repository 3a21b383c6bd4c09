package identity

import "strings"

// Reason is the error code of a rejected request. Responses, logs and metrics show it.
type Reason string

// The reasons.
const (
	// ReasonMissing: there is no value.
	ReasonMissing Reason = "identity_missing"
	// ReasonAmbiguous: there is more than one value.
	ReasonAmbiguous Reason = "identity_ambiguous"
	// ReasonInvalid: the value is not a plain address, id or text, or the assertion or
	// document that contains it is not valid.
	ReasonInvalid Reason = "identity_invalid"
	// ReasonUntrusted: the peer, the upstream or the client certificate is not trusted.
	ReasonUntrusted Reason = "identity_untrusted"
	// ReasonEmailUnverified: the address is not verified.
	ReasonEmailUnverified Reason = "email_unverified"
	// ReasonDomainNotAllowed: the domain of the address is not in the option domains.
	ReasonDomainNotAllowed Reason = "domain_not_allowed"
	// ReasonForbidden: the user is authenticated, but the auth server or the application
	// denies access.
	ReasonForbidden Reason = "identity_forbidden"
	// ReasonUnavailable: the user cannot be identified now, because the application, the
	// auth server or a key server did not respond in a usable way.
	ReasonUnavailable Reason = "identity_unavailable"
)

// Rejection is the reason why a request was rejected. All rejections are declared
// below, so that they can be compared by pointer, and rejecting a request allocates no
// memory. Those about the id are variants of those about the address, with another hint
// (see ofID).
type Rejection struct {
	// Reason is the error code.
	Reason Reason
	// Hint says what the operator may do. It is a constant text, so it never contains
	// data of a request.
	Hint string
}

// Error returns the reason and the hint.
func (r *Rejection) Error() string { return string(r.Reason) + ": " + r.Hint }

// Rejections because of a missing value.
var (
	// ErrNoAuthentication: no authentication ran before this handler, probably because
	// of a wrong order of directives.
	ErrNoAuthentication = &Rejection{ReasonMissing, "no authentication ran before this handler: if it is inside a handle or route, the token directive belongs there too"}
	// ErrNotOfUser: an authentication ran, but did not set the placeholder.
	ErrNoUserPlaceholder = &Rejection{ReasonMissing, "the authentication before this handler does not set the placeholder that the option email names"}
	// ErrNoForwardAuth: no auth server was called before this handler, probably because
	// of a wrong order of directives.
	ErrNoForwardAuth = &Rejection{ReasonMissing, "no forward_auth ran before this handler: if it is inside a handle or route, the token directive belongs there too"}
	// ErrNotAnswered: the auth server's response does not have the header.
	ErrNoResponseHeader = &Rejection{ReasonMissing, "the auth server's answer is without the header that the option email names"}
	// ErrNoHeader: the request does not have the header.
	ErrNoHeader = &Rejection{ReasonMissing, "the request is without the header that the option email names"}
	// ErrUnset: the placeholder is unset.
	ErrUnset = &Rejection{ReasonMissing, "nothing set the placeholder that the option email names before this handler"}
	// ErrEmpty: the source exists, but is empty.
	ErrEmpty = &Rejection{ReasonMissing, "the source that the option email names is empty"}
)

// Rejections because of the value.
var (
	// ErrHeaderTwice: the request has the header more than once.
	ErrDuplicateHeader = &Rejection{ReasonAmbiguous, "the header that the option email names stands in the request more than once: let the proxy replace it instead of adding to it"}
	// ErrDuplicateResponseHeader: the auth server's response has the header more than
	// once.
	ErrDuplicateResponseHeader = &Rejection{ReasonAmbiguous, "the auth server's response has the header that the option email names more than once"}
	// ErrNotText: the value is a number, a list of several, or the like.
	ErrNotText = &Rejection{ReasonInvalid, "the source that the option email names is neither a text nor a list of exactly one"}
	// ErrNotID: the value is not a valid id.
	ErrNotID = &Rejection{ReasonInvalid, "the source that the option user_id names does not hold one id: a text, or a list of exactly one, or in JSON an integer; of at most 256 bytes, in UTF-8, without control characters; and not what stands for nobody, such as (null), undefined, a dash, or the braces of a placeholder"}
	// ErrIDJoined: the header may be several headers joined by commas.
	ErrJoinedID = &Rejection{ReasonAmbiguous, "the header that the option user_id names has a comma in it, as if it were several lines joined: let the proxy or the auth server send one; an id that has a comma itself can come through a map"}
	// ErrNotAddress: the value is not one plain address.
	ErrNotAddress = &Rejection{ReasonInvalid, "the source that the option email names does not hold one plain address (name@domain, nothing around it, not a list)"}
	// ErrEmailUnverified: the verified source does not say yes.
	ErrEmailUnverified = &Rejection{ReasonEmailUnverified, "the source that the option verified names does not say true, 1, yes or on"}
	// ErrEmailDenied: the document that contains the address says that it is not
	// verified.
	ErrEmailDenied = &Rejection{ReasonEmailUnverified, "the document that the address stands in says itself that it is not verified (email_verified, verified or the like)"}
	// ErrDomainNotAllowed: the domain is not in the option domains.
	ErrDomainNotAllowed = &Rejection{ReasonDomainNotAllowed, "the option domains does not list the address's domain"}
)

// Rejections because the sender of a value is not trusted.
var (
	// ErrUntrustedPeer: the request does not come from a trusted proxy.
	ErrUntrustedPeer = &Rejection{ReasonUntrusted, "the request does not come directly from a proxy of the option trust proxies (or, if that has no ranges, of the server's trusted_proxies: are they set?)"}
	// ErrEarlyData: the peer's address is not proven yet.
	ErrEarlyData = &Rejection{ReasonUntrusted, "the option trust proxies believes no request that came before the end of the TLS handshake (early data)"}
	// ErrTemplateInclude: the request comes from a template on this server.
	ErrTemplateInclude = &Rejection{ReasonUntrusted, "the request comes from httpInclude in a template of this server, which passes on the headers of whoever asked for the page: the option trust proxies does not trust it"}
	// ErrAuthStatus: the last proxy's response has no 2xx status, so the auth server did
	// not accept the request.
	ErrAuthStatus = &Rejection{ReasonMissing, "the response of the last forward_auth before this handler does not have a 2xx status: the auth server did not accept the request"}
	// ErrWrongUpstream: the last proxy called another upstream than the auth server.
	ErrWrongUpstream = &Rejection{ReasonUntrusted, "the last forward_auth or reverse_proxy before this handler did not ask the upstream that the option trust forward_auth names"}
	// ErrUnverifiedCertificate: there is no client certificate, or its chain was not
	// verified.
	ErrUnverifiedCertificate = &Rejection{ReasonUntrusted, "no client certificate was verified on this connection: set the mode of client_auth to verify_if_given or require_and_verify, with a trust pool"}
)

// Rejections of a signed assertion. They occur before any of its claims is used.
var (
	// ErrAssertionMalformed: the value is not a signed token (JWS, compact form).
	ErrAssertionMalformed = &Rejection{ReasonInvalid, "the header that the option verify reads does not hold one signed token"}
	// ErrAssertionAlgorithm: its signature algorithm is not accepted.
	ErrAssertionAlgorithm = &Rejection{ReasonInvalid, "the assertion is not signed by an algorithm that the option verify accepts: none and shared secrets (HS256) never are"}
	// ErrAssertionKey: the key server does not list its key.
	ErrAssertionKey = &Rejection{ReasonInvalid, "the assertion is signed by a key that the option jwks does not list"}
	// ErrKeysThrottled: its key is unknown, and the rate limit for fetching unknown
	// keys is exceeded.
	ErrKeysRateLimited = &Rejection{ReasonUnavailable, "the assertion is signed by a key that is not known, and the key server was asked for too many of those just now"}
	// ErrKeysUnavailable: no keys could be fetched yet.
	ErrKeysUnavailable = &Rejection{ReasonUnavailable, "the assertion cannot be verified: the keys of the option jwks could not be fetched"}
	// ErrAssertionSignature: its signature is wrong.
	ErrAssertionSignature = &Rejection{ReasonInvalid, "the assertion's signature is wrong"}
	// ErrAssertionExpired: it has expired, or has no valid expiry (exp).
	ErrAssertionExpired = &Rejection{ReasonInvalid, "the assertion has expired, or has no exp: look at this server's clock"}
	// ErrAssertionEarly: it is not valid yet.
	ErrAssertionNotYetValid = &Rejection{ReasonInvalid, "the assertion is of the future: look at this server's clock"}
	// ErrAssertionIssuer: it has another issuer.
	ErrAssertionIssuer = &Rejection{ReasonInvalid, "the assertion is not of the option issuer"}
	// ErrAssertionAudience: it is for another audience.
	ErrAssertionAudience = &Rejection{ReasonInvalid, "the assertion is not for the option audience"}
	// ErrAssertionSigner: another load balancer signed it.
	ErrAssertionSigner = &Rejection{ReasonInvalid, "the assertion is not signed by the load balancer that the option signer names"}
)

// Rejections because of a document: the payload of an assertion, a header with JSON, or
// an application's response.
var (
	// ErrNotDocument: the header does not contain JSON.
	ErrNotDocument = &Rejection{ReasonInvalid, "the header that the option email names holds no JSON, base64 of JSON or token, or it has a member twice"}
	// ErrSeveral: the path leads into a list with more than one element.
	ErrMultipleValues = &Rejection{ReasonAmbiguous, "the path of the option email goes into a list of several, of which anyone may be the caller: name a route or a claim that is about the caller alone"}
	// ErrNotClaimed: the document has no value at the path.
	ErrNoClaim = &Rejection{ReasonMissing, "what the option email reads has no value at that path"}
)

// Rejections of the option userinfo.
var (
	// ErrNoSession: the request has none of the headers to forward, so the application
	// is not called.
	ErrNoCredentials = &Rejection{ReasonMissing, "the request has none of the headers of the option forward_headers, so nobody is signed in"}
	// ErrNotSignedIn: the application responded with 401 or 403.
	ErrUnauthenticated = &Rejection{ReasonMissing, "the application of the option userinfo says that nobody is signed in"}
	// ErrForbidden: the application responded with 403.
	ErrForbidden = &Rejection{ReasonForbidden, "the application of the option userinfo denied access (403)"}
	// ErrUserinfoBusy: too many requests wait for the application.
	ErrUserinfoBusy = &Rejection{ReasonUnavailable, "too many requests wait for the application of the option userinfo; see the option max_waiting"}
	// ErrUserinfoUnavailable: the application did not respond, or its response is not a
	// 200 with JSON.
	ErrUserinfoUnavailable = &Rejection{ReasonUnavailable, "the application did not answer the option userinfo with a 200 and JSON, in time"}
)

// Rejections of the option auth_server.
var (
	// ErrAuthServerDenied: the auth server responded with 401 or a redirect.
	ErrAuthServerDenied = &Rejection{ReasonMissing, "the auth server of the option auth_server rejected the credentials of the request (401 or a redirect to its login page)"}
	// ErrAuthServerForbidden: the auth server responded with 403.
	ErrAuthServerForbidden = &Rejection{ReasonForbidden, "the auth server of the option auth_server denied access (403)"}
	// ErrAuthServerBusy: too many requests wait for the auth server.
	ErrAuthServerBusy = &Rejection{ReasonUnavailable, "too many requests are waiting for the auth server of the option auth_server; see the option max_waiting"}
	// ErrAuthServerUnavailable: the auth server did not respond, or with another status.
	ErrAuthServerUnavailable = &Rejection{ReasonUnavailable, "the auth server of the option auth_server did not respond in time, or with an unexpected status"}
)

// IsInvalidToken reports whether the request has a token that could not be verified
// because of the token itself (RFC 6750, section 3.1, invalid_token).
func (r *Rejection) IsInvalidToken() bool {
	switch r {
	case ErrAssertionMalformed, ErrAssertionAlgorithm, ErrAssertionKey, ErrAssertionSignature, ErrAssertionExpired,
		ErrAssertionNotYetValid, ErrAssertionIssuer, ErrAssertionAudience, ErrAssertionSigner:
		return true
	}
	return false
}

// userIDVariants maps the rejections that name the option email to their variants for the option
// user_id.
var userIDVariants = func() map[*Rejection]*Rejection {
	twins := map[*Rejection]*Rejection{ErrNotText: ErrNotID, ErrNotAddress: ErrNotID}
	for _, r := range []*Rejection{ErrNoUserPlaceholder, ErrNoResponseHeader, ErrNoHeader, ErrUnset, ErrEmpty, ErrDuplicateHeader, ErrDuplicateResponseHeader, ErrNotDocument, ErrMultipleValues, ErrNoClaim} {
		twins[r] = &Rejection{r.Reason, strings.ReplaceAll(r.Hint, "the option email", "the option user_id")}
	}
	return twins
}()

// ofID returns the variant of r for the option user_id, or r if it has none.
func (r *Rejection) forUserID() *Rejection {
	if twin := userIDVariants[r]; twin != nil {
		return twin
	}
	return r
}

// noAddress reports whether r means that the user has no address: the value is missing,
// or is something else, such as a login. Other rejections mean that the value cannot be
// trusted.
func (r *Rejection) noAddress() bool {
	return r.Reason == ReasonMissing || r == ErrNotText || r == ErrNotAddress
}
