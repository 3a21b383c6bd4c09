package identity

import "strings"

// Reason is why a request was not attributed to a user, as one of the codes
// that answers, logs and metrics show.
type Reason string

// The reasons there are.
const (
	// ReasonMissing: there is no value.
	ReasonMissing Reason = "identity_missing"
	// ReasonAmbiguous: the header stands there more than once.
	ReasonAmbiguous Reason = "identity_ambiguous"
	// ReasonInvalid: the value is not a plain address, or not a string.
	ReasonInvalid Reason = "identity_invalid"
	// ReasonUntrusted: the peer, the upstream or the certificate is not one
	// to believe.
	ReasonUntrusted Reason = "identity_untrusted"
	// ReasonEmailUnverified: nothing affirms that the address is the user's.
	ReasonEmailUnverified Reason = "email_unverified"
	// ReasonDomainNotAllowed: the address is not of a configured domain.
	ReasonDomainNotAllowed Reason = "domain_not_allowed"
	// ReasonUserinfoUnavailable: the application could not say who is asking.
	ReasonUserinfoUnavailable Reason = "userinfo_unavailable"
)

// Rejection is why a request was not attributed to a user. There are only
// those declared below, so that one can be told from another by comparing
// pointers, and so that rejecting a request costs no memory. Those about the
// id are others than those about the address, for the sake of their hints.
type Rejection struct {
	// Reason is the code.
	Reason Reason
	// Hint says what an operator may do about it. It is a constant text, so
	// that it never holds anything of a request.
	Hint string
}

// Error returns the reason and the hint.
func (r *Rejection) Error() string { return string(r.Reason) + ": " + r.Hint }

// The rejections for want of a value.
var (
	// ErrNoAuthentication: nothing signed the user in before this handler,
	// which is likely a mistake in the order of directives.
	ErrNoAuthentication = &Rejection{ReasonMissing, "no authentication ran before this handler: if it is inside a handle or route, the token directive belongs there too"}
	// ErrNotOfUser: an authentication ran and does not say what was asked.
	ErrNotOfUser = &Rejection{ReasonMissing, "the authentication before this handler does not set the placeholder that the option email names"}
	// ErrNoForwardAuth: no auth server was asked before this handler, which
	// is likely a mistake in the order of directives.
	ErrNoForwardAuth = &Rejection{ReasonMissing, "no forward_auth ran before this handler: if it is inside a handle or route, the token directive belongs there too"}
	// ErrNotAnswered: the auth server's answer is without the header.
	ErrNotAnswered = &Rejection{ReasonMissing, "the auth server's answer is without the header that the option email names"}
	// ErrNoHeader: the request is without the header.
	ErrNoHeader = &Rejection{ReasonMissing, "the request is without the header that the option email names"}
	// ErrUnset: nothing knows the placeholder.
	ErrUnset = &Rejection{ReasonMissing, "nothing set the placeholder that the option email names before this handler"}
	// ErrEmpty: the source is there and has nothing in it.
	ErrEmpty = &Rejection{ReasonMissing, "the source that the option email names is empty"}
)

// The rejections of a value.
var (
	// ErrHeaderTwice: the header stands in the request more than once.
	ErrHeaderTwice = &Rejection{ReasonAmbiguous, "the header that the option email names stands in the request more than once: let the proxy replace it instead of adding to it"}
	// ErrNotText: the value is a number, a list of several, or the like.
	ErrNotText = &Rejection{ReasonInvalid, "the source that the option email names is neither a text nor a list of exactly one"}
	// ErrNotID: the value cannot be an id.
	ErrNotID = &Rejection{ReasonInvalid, "the source that the option user_id names does not hold one id: a text, or a list of exactly one, or in JSON an integer; of at most 256 bytes, in UTF-8, without control characters; and not what stands for nobody, such as (null), undefined, a dash, or the braces of a placeholder"}
	// ErrIDJoined: the header may have been several.
	ErrIDJoined = &Rejection{ReasonAmbiguous, "the header that the option user_id names has a comma in it, as if it were several lines joined: let the proxy or the auth server send one; an id that has a comma itself can come through a map"}
	// ErrNotAddress: the value is not one plain address.
	ErrNotAddress = &Rejection{ReasonInvalid, "the source that the option email names does not hold one plain address (name@domain, nothing around it, not a list)"}
	// ErrEmailUnverified: the verified source does not say yes.
	ErrEmailUnverified = &Rejection{ReasonEmailUnverified, "the source that the option verified names does not say true, 1, yes or on"}
	// ErrEmailDenied: the document that the address stands in denies it.
	ErrEmailDenied = &Rejection{ReasonEmailUnverified, "the document that the address stands in says itself that it is not verified (email_verified, verified or the like)"}
	// ErrDomainNotAllowed: the address is of another domain.
	ErrDomainNotAllowed = &Rejection{ReasonDomainNotAllowed, "the option domains does not list the address's domain"}
)

// The rejections of who gave a value.
var (
	// ErrUntrustedPeer: the request does not come from a trusted proxy.
	ErrUntrustedPeer = &Rejection{ReasonUntrusted, "the request does not come directly from a proxy of the option trust proxies (or, if that has no ranges, of the server's trusted_proxies: are they set?)"}
	// ErrEarlyData: the peer's address is not proven yet.
	ErrEarlyData = &Rejection{ReasonUntrusted, "the option trust proxies believes no request that came before the end of the TLS handshake (early data)"}
	// ErrTemplateInclude: the request comes from a template on this server.
	ErrTemplateInclude = &Rejection{ReasonUntrusted, "the request comes from httpInclude in a template of this server, which passes on the headers of whoever asked for the page: the option trust proxies does not trust it"}
	// ErrWrongUpstream: the last proxy asked somebody else than the auth
	// server.
	ErrWrongUpstream = &Rejection{ReasonUntrusted, "the last forward_auth or reverse_proxy before this handler did not ask the upstream that the option trust forward_auth names"}
	// ErrUnverifiedCertificate: there is no client certificate, or nothing
	// verified its chain.
	ErrUnverifiedCertificate = &Rejection{ReasonUntrusted, "no client certificate was verified on this connection: set the mode of client_auth to verify_if_given or require_and_verify, with a trust pool"}
)

// The rejections of a signed assertion, all of them before anything in it is
// believed.
var (
	// ErrAssertionMalformed: the value is no signed token (JWS, compact form).
	ErrAssertionMalformed = &Rejection{ReasonInvalid, "the header that the option verify reads does not hold one signed token"}
	// ErrAssertionAlgorithm: it is signed in a way that is not accepted.
	ErrAssertionAlgorithm = &Rejection{ReasonInvalid, "the assertion is not signed by an algorithm that the option verify accepts: none and shared secrets (HS256) never are"}
	// ErrAssertionKey: its key is not among those of the key server.
	ErrAssertionKey = &Rejection{ReasonInvalid, "the assertion is signed by a key that the option jwks does not list"}
	// ErrKeysThrottled: too many assertions name unknown keys to ask for this
	// one.
	ErrKeysThrottled = &Rejection{ReasonInvalid, "the assertion is signed by a key that is not known, and the key server was asked for too many of those just now"}
	// ErrKeysUnavailable: no keys could be fetched yet.
	ErrKeysUnavailable = &Rejection{ReasonInvalid, "the assertion cannot be verified: the keys of the option jwks could not be fetched"}
	// ErrAssertionSignature: its signature is wrong.
	ErrAssertionSignature = &Rejection{ReasonInvalid, "the assertion's signature is wrong"}
	// ErrAssertionExpired: it has expired, or does not say when it will.
	ErrAssertionExpired = &Rejection{ReasonInvalid, "the assertion has expired, or has no exp: look at this server's clock"}
	// ErrAssertionEarly: it is not valid yet.
	ErrAssertionEarly = &Rejection{ReasonInvalid, "the assertion is of the future: look at this server's clock"}
	// ErrAssertionIssuer: somebody else issued it.
	ErrAssertionIssuer = &Rejection{ReasonInvalid, "the assertion is not of the option issuer"}
	// ErrAssertionAudience: it is for somebody else.
	ErrAssertionAudience = &Rejection{ReasonInvalid, "the assertion is not for the option audience"}
	// ErrAssertionSigner: another load balancer signed it.
	ErrAssertionSigner = &Rejection{ReasonInvalid, "the assertion is not signed by the load balancer that the option signer names"}
)

// The rejections of a document: the payload of an assertion, a header with
// JSON in it, an application's answer.
var (
	// ErrNotDocument: the header does not hold JSON.
	ErrNotDocument = &Rejection{ReasonInvalid, "the header that the option email names holds no JSON, base64 of JSON or token, or it has a member twice"}
	// ErrSeveral: the document has a list of several where the path goes.
	ErrSeveral = &Rejection{ReasonAmbiguous, "the path of the option email goes into a list of several, of which anyone may be the caller: name a route or a claim that is about the caller alone"}
	// ErrNotClaimed: the document does not say what was asked.
	ErrNotClaimed = &Rejection{ReasonMissing, "what the option email reads has no value at that path"}
)

// The rejections of the option userinfo.
var (
	// ErrNoSession: the request has nothing to ask the application with.
	ErrNoSession = &Rejection{ReasonMissing, "the request has none of the headers of the option forward_headers, so nobody is signed in"}
	// ErrNotSignedIn: the application said 401 or 403.
	ErrNotSignedIn = &Rejection{ReasonMissing, "the application of the option userinfo says that nobody is signed in"}
	// ErrUserinfoBusy: too many requests wait for the application.
	ErrUserinfoBusy = &Rejection{ReasonUserinfoUnavailable, "too many requests wait for the application of the option userinfo; see the option max_waiting"}
	// ErrUserinfoUnavailable: the application did not answer, or with
	// something else than JSON.
	ErrUserinfoUnavailable = &Rejection{ReasonUserinfoUnavailable, "the application did not answer the option userinfo with a 200 and JSON, in time"}
)

// IsInvalidToken reports whether a token was presented that does not verify
// (RFC 6750, section 3.1, invalid_token).
func (r *Rejection) IsInvalidToken() bool {
	switch r {
	case ErrAssertionMalformed, ErrAssertionAlgorithm, ErrAssertionKey, ErrAssertionSignature, ErrAssertionExpired,
		ErrAssertionEarly, ErrAssertionIssuer, ErrAssertionAudience, ErrAssertionSigner:
		return true
	}
	return false
}

// ofID are the rejections that name the option email, as they are when it is
// the option user_id that they are about.
var ofID = func() map[*Rejection]*Rejection {
	twins := map[*Rejection]*Rejection{ErrNotText: ErrNotID, ErrNotAddress: ErrNotID}
	for _, r := range []*Rejection{ErrNotOfUser, ErrNotAnswered, ErrNoHeader, ErrUnset, ErrEmpty, ErrHeaderTwice, ErrNotDocument, ErrSeveral, ErrNotClaimed} {
		twins[r] = &Rejection{r.Reason, strings.ReplaceAll(r.Hint, "the option email", "the option user_id")}
	}
	return twins
}()

// ofID returns the rejection as it is when the id is what was read.
func (r *Rejection) ofID() *Rejection {
	if twin := ofID[r]; twin != nil {
		return twin
	}
	return r
}

// noAddress reports whether a user who needs no address just has none: nothing
// is there, or something else, such as a login. Everything else is in doubt.
func (r *Rejection) noAddress() bool {
	return r.Reason == ReasonMissing || r == ErrNotText || r == ErrNotAddress
}
