// Package identity decides who a request comes from. It reads the sources an
// operator named, believes only those that the asker cannot have written, and
// answers with one plain address or with a Rejection: never with a guess,
// never with somebody anonymous.
//
// It knows nothing of the server around it. What it needs of a request comes
// in as a Request.
package identity

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// Placeholders is the part of Caddy's Replacer that is needed.
//
// Get is used rather than a replacing method because those leave an unset
// placeholder as literal text, which would make every visitor one user.
type Placeholders interface {
	// Get returns the value of a placeholder, named without its braces, and
	// whether anything knows that placeholder.
	Get(name string) (any, bool)
}

// Request is what is looked at of one HTTP request.
type Request struct {
	// Header is the request's header. It is read under trust proxies only.
	Header http.Header
	// Placeholders are the request's placeholders.
	Placeholders Placeholders
	// RemoteAddr is the direct peer, as http.Request has it.
	RemoteAddr string
	// TLS is the connection's state; nil without TLS.
	TLS *tls.ConnectionState
	// TrustedProxy says that the server counts the direct peer among its
	// trusted_proxies.
	TrustedProxy bool
	// TrustedProxiesSet says that the server has trusted_proxies at all.
	TrustedProxiesSet bool
}

// User is who a request comes from. Neither field prints.
type User struct {
	// Email is the address as it came. It is never empty.
	Email masked.String
	// ID is the authentication layer's own name of the user. It is empty
	// without a user_id source, and when that source has no usable value.
	ID masked.String
}

// AppendKey appends what tells users apart to dst: the address with its ASCII
// letters lowered. Unicode folding would make one user of different people
// (U+212A, the Kelvin sign, folds to k).
func (u User) AppendKey(dst []byte) []byte { return appendLower(dst, u.Email.Reveal()) }

// Identifier reads users from requests. It does not change once made, and may
// be used by any number of requests at once.
type Identifier struct {
	email, userID, verified   source
	name, firstName, lastName source

	domains  map[string]struct{} // ASCII-lowered; nil allows all
	upstream upstream            // the zero value allows any
	ranges   []netip.Prefix      // empty: what the server says
}

// Identify returns the user a request comes from. Its error is always a
// *Rejection, one of those this package declares.
func (i *Identifier) Identify(r *Request) (User, error) {
	address, rejection := i.text(r, i.email)
	if rejection != nil {
		return User{}, rejection
	}
	at, ok := checkAddress(address)
	if !ok {
		return User{}, ErrNotAddress
	}
	if i.verified.kind != kindNone && !i.isVerified(r) {
		return User{}, ErrEmailUnverified
	}
	if !i.domainAllowed(address[at+1:]) {
		return User{}, ErrDomainNotAllowed
	}

	u := User{Email: masked.New(address)}
	switch i.userID {
	case source{}:
	case i.email: // one value for both, as with basic_auth
		u.ID = u.Email
	default:
		// A user is who the address says; without a usable id there is just
		// none to pass on.
		if id, rejection := i.text(r, i.userID); rejection == nil && usableID(id) {
			u.ID = masked.New(id)
		}
	}
	return u, nil
}

// isVerified reports whether the verified source affirms the address. Whatever
// it cannot say, also because it is not to be believed, is a no.
func (i *Identifier) isVerified(r *Request) bool {
	if i.verified.kind != kindHeader {
		value, rejection := i.lookup(r, i.verified)
		if affirmed, isBool := value.(bool); isBool && rejection == nil {
			return affirmed
		}
	}
	text, rejection := i.text(r, i.verified)
	return rejection == nil && affirms(text)
}

// affirms reports whether text is one of the ways to write yes.
func affirms(text string) bool {
	for _, yes := range [...]string{"true", "1", "yes", "on"} {
		if equalFold(text, yes) {
			return true
		}
	}
	return false
}

// domainAllowed reports whether the domain of an accepted address is one of
// those configured. A subdomain is another domain.
func (i *Identifier) domainAllowed(domain string) bool {
	if i.domains == nil {
		return true
	}
	var buf [maxAddress]byte
	_, ok := i.domains[string(appendLower(buf[:0], domain))]
	return ok
}

// text returns what a source gives, if it is one text that is not blank.
func (i *Identifier) text(r *Request, s source) (string, *Rejection) {
	var text string
	if s.kind == kindHeader {
		values := r.Header[s.key]
		if len(values) == 0 {
			return "", ErrNoHeader
		}
		if rejection := i.checkPeer(r); rejection != nil {
			return "", rejection
		}
		if len(values) > 1 {
			return "", ErrHeaderTwice
		}
		text = values[0]
	} else {
		value, rejection := i.lookup(r, s)
		if rejection == nil {
			text, rejection = single(value)
		}
		if rejection != nil {
			return "", rejection
		}
	}
	if strings.TrimSpace(text) == "" {
		return "", ErrEmpty
	}
	return text, nil
}

// single returns a placeholder's value as text. Turning any other value into
// text would invent an identity: that of everybody with the number 7, say.
func single(value any) (string, *Rejection) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []string:
		switch len(v) {
		case 0:
			return "", nil
		case 1:
			return v[0], nil
		}
	case []any:
		switch len(v) {
		case 0:
			return "", nil
		case 1:
			if v[0] == nil {
				return "", nil
			}
			if text, ok := v[0].(string); ok {
				return text, nil
			}
		}
	}
	return "", ErrNotText
}

// lookup returns the value of a placeholder, if its source is to be believed
// on this request. Nothing in a value is ever expanded again.
func (i *Identifier) lookup(r *Request, s source) (any, *Rejection) {
	if s.kind == kindCertificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return nil, ErrUnverifiedCertificate
	}
	if r.Placeholders == nil {
		return nil, unset(r, s)
	}
	value, known := r.Placeholders.Get(s.key)
	if s.kind == kindAnswer && i.upstream != (upstream{}) {
		switch same, proxied := i.upstream.is(r.Placeholders); {
		case !proxied && !known:
			return nil, ErrNoForwardAuth
		case !same:
			return nil, ErrWrongUpstream
		}
	}
	if !known {
		return nil, unset(r, s)
	}
	return value, nil
}

// unset tells why nothing knows the placeholder of a source.
func unset(r *Request, s source) *Rejection {
	knows := func(name string) bool {
		if r.Placeholders == nil {
			return false
		}
		_, known := r.Placeholders.Get(name)
		return known
	}
	switch s.kind {
	case kindUser:
		// Whoever is signed in has an id, be it an empty one.
		if !knows(userPrefix + "id") {
			return ErrNoAuthentication
		}
		return ErrNotOfUser
	case kindAnswer:
		if !knows("http.reverse_proxy.status_code") {
			return ErrNoForwardAuth
		}
		return ErrNotAnswered
	default:
		return ErrUnset
	}
}

// checkPeer tells why a header of the request is not to be believed, or nil.
func (i *Identifier) checkPeer(r *Request) *Rejection {
	if len(i.ranges) == 0 && !r.TrustedProxy && !r.TrustedProxiesSet {
		return ErrNoTrustedProxies
	}
	// Until the handshake is over, a QUIC client may claim any address.
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return ErrEarlyData
	}
	if len(i.ranges) == 0 {
		if !r.TrustedProxy {
			return ErrUntrustedPeer
		}
		return nil
	}
	peer, ok := peerAddr(r.RemoteAddr)
	if !ok {
		return ErrUntrustedPeer
	}
	for _, p := range i.ranges {
		if p.Contains(peer) {
			return nil
		}
	}
	return ErrUntrustedPeer
}

// peerAddr returns the address of a peer without port and zone; an IPv4
// address within IPv6 as the IPv4 address it is.
func peerAddr(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err == nil {
		return ap.Addr().WithZone("").Unmap(), true
	}
	addr, err := netip.ParseAddr(remote)
	return addr.WithZone("").Unmap(), err == nil
}
