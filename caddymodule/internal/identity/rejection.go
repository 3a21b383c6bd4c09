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
// memory. Those about the id or the token are variants of those about the address, with
// another hint (see forUserID and forToken).
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
	ErrNoAuthentication = &Rejection{ReasonMissing, "no authentication ran before this handler: if the authentication is inside a handle or route block, move the token directive into the same block"}
	// ErrNoUserPlaceholder: an authentication ran, but did not set the placeholder.
	ErrNoUserPlaceholder = &Rejection{ReasonMissing, "the authentication does not set the placeholder of the option email"}
	// ErrNoForwardAuth: no auth server was called before this handler, probably because
	// of a wrong order of directives.
	ErrNoForwardAuth = &Rejection{ReasonMissing, "no forward_auth ran before this handler: if forward_auth is inside a handle or route block, move the token directive into the same block"}
	// ErrNoResponseHeader: the auth server's response does not have the header.
	ErrNoResponseHeader = &Rejection{ReasonMissing, "the auth server's response does not have the header of the option email"}
	// ErrNoHeader: the request does not have the header.
	ErrNoHeader = &Rejection{ReasonMissing, "the request does not have the header of the option email"}
	// ErrNoCookie: the request does not have the cookie.
	ErrNoCookie = &Rejection{ReasonMissing, "the request does not have the cookie of the option email"}
	// ErrUnset: the placeholder is unset.
	ErrUnset = &Rejection{ReasonMissing, "the placeholder of the option email is not set: set it before this handler runs"}
	// ErrEmpty: the source exists, but is empty.
	ErrEmpty = &Rejection{ReasonMissing, "the source of the option email is empty"}
)

// Rejections because of the value.
var (
	// ErrDuplicateHeader: the request has the header more than once.
	ErrDuplicateHeader = &Rejection{ReasonAmbiguous, "the request has the header of the option email more than once: configure the proxy to replace the header instead of adding another one"}
	// ErrDuplicateResponseHeader: the auth server's response has the header more than
	// once.
	ErrDuplicateResponseHeader = &Rejection{ReasonAmbiguous, "the auth server's response has the header of the option email more than once"}
	// ErrDuplicateCookie: the request has the cookie more than once.
	ErrDuplicateCookie = &Rejection{ReasonAmbiguous, "the request has the cookie of the option email more than once: it may also be set for a path or for a parent domain"}
	// ErrNotText: the value is a number, a list of several, or the like.
	ErrNotText = &Rejection{ReasonInvalid, "the source of the option email is neither a string nor a list of exactly one string"}
	// ErrNotID: the value is not a valid id.
	ErrNotID = &Rejection{ReasonInvalid, "the source of the option user_id is not a valid user ID: it must be a string, a list of exactly one string, or an integer in JSON, with at most 256 bytes of UTF-8 and without control characters; (null), null, undefined, None, nil, <nil>, <no value>, a dash and unreplaced placeholders are rejected"}
	// ErrJoinedID: the header may be several headers joined by commas.
	ErrJoinedID = &Rejection{ReasonAmbiguous, "the header of the option user_id contains a comma, so it may be several headers joined: configure the proxy or the auth server to send one header; if IDs contain commas, read them through map"}
	// ErrNotAddress: the value is not one plain address.
	ErrNotAddress = &Rejection{ReasonInvalid, "the source of the option email is not a single email address (name@domain, without a display name, not a list)"}
	// ErrEmailUnverified: the verified source does not confirm the address.
	ErrEmailUnverified = &Rejection{ReasonEmailUnverified, "the source of the option verified is not true, 1, yes, on or a time"}
	// ErrEmailDenied: the document that contains the address, or a header or placeholder
	// of the preset, says that the address is not verified.
	ErrEmailDenied = &Rejection{ReasonEmailUnverified, "the authentication marks the email address as not verified: email_verified or a similar member of the document that contains the address, or the preset's source of the option verified"}
	// ErrDomainUnverified: a token of Microsoft Entra ID does not say that the address is
	// verified, and has no login that could be used instead.
	ErrDomainUnverified = &Rejection{ReasonEmailUnverified, "the token does not say that the domain of its email address is verified, and has no login (preferred_username, upn) of a member of the tenant: add the optional claim xms_edov to the token, or, if it is absent, the domain to the option domains"}
	// ErrDomainNotAllowed: the domain is not in the option domains.
	ErrDomainNotAllowed = &Rejection{ReasonDomainNotAllowed, "the domain of the email address is not in the option domains"}
)

// Rejections because the sender of a value is not trusted.
var (
	// ErrUntrustedPeer: the request does not come from a trusted proxy.
	ErrUntrustedPeer = &Rejection{ReasonUntrusted, "the request does not come directly from a trusted proxy: check the ranges of the option trust proxies, or, if it has no ranges, the server's trusted_proxies"}
	// ErrEarlyData: the peer's address is not proven yet.
	ErrEarlyData = &Rejection{ReasonUntrusted, "the request arrived before the TLS handshake finished (early data): the option trust proxies does not trust such requests"}
	// ErrTemplateInclude: the request comes from a template on this server.
	ErrTemplateInclude = &Rejection{ReasonUntrusted, "the request comes from httpInclude in a template of this server, with the headers of the client that requested the page: the option trust proxies does not trust such requests"}
	// ErrAuthStatus: the last proxy's response has no 2xx status, so the auth server did
	// not accept the request.
	ErrAuthStatus = &Rejection{ReasonMissing, "the response of the last forward_auth before this handler does not have a 2xx status: the auth server did not accept the request"}
	// ErrWrongUpstream: the last proxy called another upstream than the auth server.
	ErrWrongUpstream = &Rejection{ReasonUntrusted, "the last forward_auth or reverse_proxy before this handler called another upstream than the one in the option trust forward_auth"}
	// ErrUnverifiedCertificate: there is no client certificate, or its chain was not
	// verified.
	ErrUnverifiedCertificate = &Rejection{ReasonUntrusted, "the connection has no verified client certificate: set the mode of client_auth to verify_if_given or require_and_verify, with a trust pool"}
)

// Rejections of a signed assertion. They occur before any of its claims is used.
var (
	// ErrAssertionMalformed: the value is not a signed token (JWS, compact form).
	ErrAssertionMalformed = &Rejection{ReasonInvalid, "the header or cookie of the signed assertion (option verify) is not a single signed token (JWT)"}
	// ErrAssertionAlgorithm: its signature algorithm is not accepted.
	ErrAssertionAlgorithm = &Rejection{ReasonInvalid, "the signature algorithm of the assertion is not accepted (option verify); none and algorithms with a shared secret (HS256) are never accepted"}
	// ErrAssertionKey: the key server does not list its key.
	ErrAssertionKey = &Rejection{ReasonInvalid, "the JWKS (option jwks or issuer) does not contain the key that signed the assertion"}
	// ErrKeysRateLimited: its key is unknown, and the rate limit for fetching unknown
	// keys is exceeded.
	ErrKeysRateLimited = &Rejection{ReasonUnavailable, "the key ID of the assertion is unknown, and the rate limit for fetching unknown keys is exceeded"}
	// ErrKeysUnavailable: no keys could be fetched yet, or its key is unknown and the
	// last fetch failed.
	ErrKeysUnavailable = &Rejection{ReasonUnavailable, "cannot verify the assertion: the JWKS (option jwks or issuer) could not be fetched"}
	// ErrKeysBusy: too many requests wait for the keys.
	ErrKeysBusy = &Rejection{ReasonUnavailable, "too many requests are waiting for the JWKS (option jwks or issuer); see the option max_waiting"}
	// ErrAssertionSignature: its signature is wrong.
	ErrAssertionSignature = &Rejection{ReasonInvalid, "the signature of the assertion is invalid"}
	// ErrAssertionExpired: it has expired, or has no valid expiry (exp).
	ErrAssertionExpired = &Rejection{ReasonInvalid, "the assertion has expired, or has no claim exp: check for clock skew on this server"}
	// ErrAssertionNotYetValid: it is not valid yet.
	ErrAssertionNotYetValid = &Rejection{ReasonInvalid, "the assertion is not valid yet (nbf or iat is in the future): check for clock skew on this server"}
	// ErrAssertionIssuer: it has another issuer.
	ErrAssertionIssuer = &Rejection{ReasonInvalid, "the issuer of the assertion (iss) is not the one in the option issuer"}
	// ErrAssertionAudience: it is for another audience.
	ErrAssertionAudience = &Rejection{ReasonInvalid, "the audience of the assertion (aud) is not in the option audience"}
	// ErrAssertionRequirement: a claim does not have a required value.
	ErrAssertionRequirement = &Rejection{ReasonInvalid, "a claim of the assertion does not have one of the values in the option require"}
	// ErrAssertionKind: it is not a token of the kind that the preset reads.
	ErrAssertionKind = &Rejection{ReasonInvalid, "the token is not of the kind that the preset reads: an access token instead of an ID token, or the reverse, or the token of an anonymous user or another kind of application; caddy huma presets describes it"}
	// ErrAssertionSigner: another load balancer signed it.
	ErrAssertionSigner = &Rejection{ReasonInvalid, "the signer of the assertion is not a load balancer in the option signer"}
)

// Rejections because of a document: the payload of an assertion, a header with JSON, or
// an application's response.
var (
	// ErrNotDocument: the header does not contain JSON.
	ErrNotDocument = &Rejection{ReasonInvalid, "the header of the option email is not JSON, base64 of JSON or a token, or it has a duplicate member"}
	// ErrMultipleValues: the path leads into a list with more than one element.
	ErrMultipleValues = &Rejection{ReasonAmbiguous, "the path of the option email leads into a list of several elements, which may be other users: use a route or a claim that contains only the current user"}
	// ErrNoClaim: the document has no value at the path.
	ErrNoClaim = &Rejection{ReasonMissing, "the document of the option email has no value at the configured path"}
)

// Rejections of the option userinfo. The first is also one of auth_server.
var (
	// ErrNoCredentials: the request has none of the headers to forward, so the
	// application or the auth server is not called.
	ErrNoCredentials = &Rejection{ReasonMissing, "the request has none of the headers that are forwarded (Authorization, Cookie, or those of the option forward_headers), so the user is not signed in"}
	// ErrUnauthenticated: the application responded with 401.
	ErrUnauthenticated = &Rejection{ReasonMissing, "the application (option userinfo) responded with 401: the user is not signed in"}
	// ErrForbidden: the application responded with 403.
	ErrForbidden = &Rejection{ReasonForbidden, "the application (option userinfo) denied access (403)"}
	// ErrUserinfoBusy: too many requests wait for the application.
	ErrUserinfoBusy = &Rejection{ReasonUnavailable, "too many requests are waiting for the application (option userinfo); see the option max_waiting"}
	// ErrUserinfoSubject: the application's response is about another user than the
	// verified token.
	ErrUserinfoSubject = &Rejection{ReasonInvalid, "the member sub of the application's response (option userinfo) is not the claim sub of the token: the response may be about another user"}
	// ErrUserinfoUnavailable: the application did not respond, or its response is not a
	// 200 with JSON.
	ErrUserinfoUnavailable = &Rejection{ReasonUnavailable, "the application (option userinfo) did not respond with status 200 and JSON before the timeout"}
)

// Rejections of the option auth_server.
var (
	// ErrAuthServerDenied: the auth server responded with 401 or a redirect.
	ErrAuthServerDenied = &Rejection{ReasonMissing, "the auth server (option auth_server) rejected the credentials of the request (401 or a redirect to its login page)"}
	// ErrAuthServerForbidden: the auth server responded with 403.
	ErrAuthServerForbidden = &Rejection{ReasonForbidden, "the auth server (option auth_server) denied access (403)"}
	// ErrAuthServerBusy: too many requests wait for the auth server.
	ErrAuthServerBusy = &Rejection{ReasonUnavailable, "too many requests are waiting for the auth server (option auth_server); see the option max_waiting"}
	// ErrAuthServerUnavailable: the auth server did not respond, or with another status.
	ErrAuthServerUnavailable = &Rejection{ReasonUnavailable, "the auth server (option auth_server) did not respond in time, or with an unexpected status"}
)

// IsInvalidToken reports whether the request has a token that could not be verified
// because of the token itself (RFC 6750, section 3.1, invalid_token).
func (r *Rejection) IsInvalidToken() bool {
	switch r {
	case ErrAssertionMalformed, ErrAssertionAlgorithm, ErrAssertionKey, ErrAssertionSignature, ErrAssertionExpired,
		ErrAssertionNotYetValid, ErrAssertionIssuer, ErrAssertionAudience, ErrAssertionRequirement, ErrAssertionKind, ErrAssertionSigner:
		return true
	}
	return false
}

// userIDVariants and tokenVariants map the rejections that name the option email to their
// variants for the options user_id and token.
var (
	userIDVariants = func() map[*Rejection]*Rejection {
		variants := variantsFor("user_id", ErrNoUserPlaceholder, ErrNoResponseHeader, ErrNoHeader, ErrNoCookie, ErrUnset, ErrEmpty, ErrDuplicateHeader, ErrDuplicateCookie, ErrDuplicateResponseHeader, ErrNotDocument, ErrMultipleValues, ErrNoClaim)
		variants[ErrNotText], variants[ErrNotAddress] = ErrNotID, ErrNotID
		return variants
	}()
	tokenVariants = variantsFor("token", ErrNoHeader, ErrNoCookie, ErrEmpty, ErrDuplicateHeader, ErrDuplicateCookie)
)

func variantsFor(option string, rejections ...*Rejection) map[*Rejection]*Rejection {
	variants := make(map[*Rejection]*Rejection)
	for _, r := range rejections {
		variants[r] = &Rejection{r.Reason, strings.ReplaceAll(r.Hint, "the option email", "the option "+option)}
	}
	return variants
}

// forUserID returns the variant of r for the option user_id, or r if it has none.
func (r *Rejection) forUserID() *Rejection { return r.variant(userIDVariants) }

// forToken returns the variant of r for the option token, or r if it has none.
func (r *Rejection) forToken() *Rejection { return r.variant(tokenVariants) }

func (r *Rejection) variant(of map[*Rejection]*Rejection) *Rejection {
	if variant := of[r]; variant != nil {
		return variant
	}
	return r
}

// noAddress reports whether r means that the user has no address: the value is missing,
// or is something else, such as a login. Other rejections mean that the value cannot be
// trusted.
func (r *Rejection) noAddress() bool {
	return r.Reason == ReasonMissing || r == ErrNotText || r == ErrNotAddress
}
