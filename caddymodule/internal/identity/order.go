package identity

// OrderPlaceholders are the placeholders by which CheckOrder knows what ran before a
// directive.
var OrderPlaceholders = []string{upstreamHostPort, upstreamAddress, statusCode, userPrefix + "id"}

// CheckOrder returns why every request is rejected that arrives with these placeholders,
// whatever its user: no forward_auth ran before the directive, or that of another auth
// server, or no authentication handler. It returns nil if the authentication that the
// identity is read from ran, or if the identity does not depend on the order of handlers.
func (i *Identifier) CheckOrder(p Placeholders) *Rejection {
	s := i.email.location
	if i.byID {
		s = i.userID.location
	}
	switch s.kind {
	case kindResponse, kindUser:
	default:
		return nil
	}
	_, rejection := i.lookup(&Request{Placeholders: p}, s)
	switch rejection {
	case ErrNoForwardAuth, ErrWrongUpstream, ErrAuthStatus, ErrNoAuthentication:
		return rejection
	}
	return nil // of one user
}
