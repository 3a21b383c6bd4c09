package identity

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
)

// Rejection is why a request was not attributed to a user. There are only
// those declared below, so that one can be told from another by comparing
// pointers, and so that rejecting a request costs no memory.
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
	ErrNoAuthentication = &Rejection{ReasonMissing, "no authentication ran before this handler"}
	// ErrNotOfUser: an authentication ran and does not say what was asked.
	ErrNotOfUser = &Rejection{ReasonMissing, "the authentication before this handler does not set the placeholder that the option email names"}
	// ErrNoForwardAuth: no auth server was asked before this handler, which
	// is likely a mistake in the order of directives.
	ErrNoForwardAuth = &Rejection{ReasonMissing, "no forward_auth ran before this handler"}
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
	// ErrNotAddress: the value is not one plain address.
	ErrNotAddress = &Rejection{ReasonInvalid, "the source that the option email names does not hold one plain address (name@domain, nothing around it, not a list)"}
	// ErrEmailUnverified: the verified source does not say yes.
	ErrEmailUnverified = &Rejection{ReasonEmailUnverified, "the source that the option verified names does not say true, 1, yes or on"}
	// ErrDomainNotAllowed: the address is of another domain.
	ErrDomainNotAllowed = &Rejection{ReasonDomainNotAllowed, "the option domains does not list the address's domain"}
)

// The rejections of who gave a value.
var (
	// ErrUntrustedPeer: the request does not come from a trusted proxy.
	ErrUntrustedPeer = &Rejection{ReasonUntrusted, "the request does not come directly from a proxy of the option trust proxies (or, if that has no ranges, of the server's trusted_proxies)"}
	// ErrNoTrustedProxies: no proxy can ever be trusted, so every request is
	// rejected until the configuration changes.
	ErrNoTrustedProxies = &Rejection{ReasonUntrusted, "no proxy is trusted: give the option trust proxies ranges, or set trusted_proxies in the server's options"}
	// ErrEarlyData: the peer's address is not proven yet.
	ErrEarlyData = &Rejection{ReasonUntrusted, "the option trust proxies believes no request that came before the end of the TLS handshake (early data)"}
	// ErrWrongUpstream: the last proxy asked somebody else than the auth
	// server.
	ErrWrongUpstream = &Rejection{ReasonUntrusted, "the last forward_auth or reverse_proxy before this handler did not ask the upstream that the option trust forward_auth names"}
	// ErrUnverifiedCertificate: there is no client certificate, or nothing
	// verified its chain.
	ErrUnverifiedCertificate = &Rejection{ReasonUntrusted, "no client certificate was verified on this connection: set the mode of client_auth to verify_if_given or require_and_verify, with a trust pool"}
)
