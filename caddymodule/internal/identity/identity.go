// Package identity identifies the user of a request by email address or id. It reads
// only the sources that the operator configured and that the client cannot forge, and
// rejects the request if they do not name exactly one user.
//
// It does not depend on Caddy: a Request holds everything it needs of an HTTP request.
package identity

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
)

// Placeholders is the part of Caddy's Replacer that this package needs.
//
// It has Get and no replacing method, because those leave an unset placeholder as
// literal text, which would make all users one user.
type Placeholders interface {
	// Get returns the value of a placeholder, named without braces, and whether that
	// placeholder is known.
	Get(name string) (any, bool)
}

// Request holds the parts of one HTTP request that identify its user.
type Request struct {
	// Host is the host of the request. It can be forwarded to the application.
	Host string
	// Header is the header of the request. It is read with trust proxies, for signed
	// assertions, and to call the application.
	Header http.Header
	// Placeholders are the placeholders of the request. If nil, every placeholder is
	// unset.
	Placeholders Placeholders
	// RemoteAddr is the address of the direct peer, as in http.Request.
	RemoteAddr string
	// TLS is the state of the connection; nil without TLS.
	TLS *tls.ConnectionState
	// TrustedProxy reports whether the direct peer is in the server's trusted_proxies.
	TrustedProxy bool
	// Method and URI are those of the request as the server received it, before any
	// rewrite. They are sent to the auth server.
	Method, URI string

	// read caches the last document read, its location, and the rejection if it could
	// not be read.
	read struct {
		of        location
		document  claims.Document
		rejection *Rejection
	}
	// auth is the response of the auth server. called is false before the call.
	auth struct {
		called    bool
		header    http.Header
		rejection *Rejection
	}
	// userinfo is the response that keepUserinfo keeps.
	userinfo verifiedResponse
}

// SetCookie returns the Set-Cookie values of the auth server's 2xx response, which
// belong in the response to the client: the auth server may have replaced the session.
// Call it after Identify.
func (r *Request) SetCookie() []string { return r.auth.header["Set-Cookie"] }

// Identifier identifies the users of requests. It is immutable and safe for concurrent
// use. Create it with New or NewUserinfo.
type Identifier struct {
	email, userID, verified   source
	name, firstName, lastName source

	byID           bool // users are identified by their id
	requireAddress bool // reject users without an address

	sameID       bool         // email and user_id read the same value
	verification verification // members near the address that may deny its verification
	requireDot   bool         // accept only addresses with a dot in the domain
	nameEncoding names.Encoding
	domains      map[string]struct{} // see syntax.AppendDomain; nil allows all
	upstream     string              // see Trust.Upstream; empty allows any
	ranges       []netip.Prefix      // empty: Request.TrustedProxy decides

	cookiesFromProxies bool // the request of a cookie must come from a trusted proxy

	verifier       Verifier
	userinfoClient UserinfoClient
	userinfoCache  UserinfoCache // nil: none
	token          location      // of the token of the option userinfo; zero: it verifies none
	authServer     AuthServer    // nil without the option auth_server
	forwards       []string      // see Forwards
}

// Forwards returns the canonical names of the request headers that are forwarded to the
// application or the auth server. It is nil without the options userinfo and
// auth_server. The caller must not change the slice.
func (i *Identifier) Forwards() []string { return i.forwards }

// Identify returns the user of a request. Its error is always a *Rejection: one that
// this package declares, or its variant for the option user_id.
func (i *Identifier) Identify(ctx context.Context, r *Request) (User, error) {
	if i.authServer != nil {
		if rejection := i.callAuthServer(ctx, r); rejection != nil {
			return User{}, rejection
		}
	}
	var (
		user      User
		rejection *Rejection
	)
	if i.byID {
		user, rejection = i.identifyByID(ctx, r)
	} else {
		user, rejection = i.identifyByEmail(ctx, r)
	}
	if rejection != nil {
		return User{}, rejection
	}
	i.keepUserinfo(r)
	return user, nil
}

// identifyByEmail implements Identify without ByID.
func (i *Identifier) identifyByEmail(ctx context.Context, r *Request) (User, *Rejection) {
	address, at, rejection := i.address(ctx, r)
	if rejection == nil {
		rejection = i.checkUser(ctx, r, address[at+1:])
	}
	if rejection != nil {
		return User{}, rejection
	}
	u := User{Email: masked.New(address)}
	if i.sameID { // as with basic_auth
		u.ID = u.Email
	} else if i.userID.kind != kindNone {
		// Users are identified by their address. If there is no usable id, ID stays
		// empty.
		id, _ := i.id(ctx, r)
		u.ID = masked.New(id)
	}
	return u, nil
}

// address returns the user's address and the index of its @.
func (i *Identifier) address(ctx context.Context, r *Request) (address string, at int, rejection *Rejection) {
	address, rejection = i.text(ctx, r, &i.email)
	if rejection != nil {
		return "", 0, rejection
	}
	address = syntax.TrimAddress(address)
	at, ok := syntax.Address(address)
	if !ok || r.isGuess(&i.email, address) || i.requireDot && !strings.Contains(address[at:], ".") {
		return "", 0, ErrNotAddress
	}
	return address, at, nil
}

// checkUser returns the reason to reject the user whose address was just read, or nil.
// domain is the domain of that address.
func (i *Identifier) checkUser(ctx context.Context, r *Request, domain string) *Rejection {
	switch {
	case i.deniesVerified(ctx, r):
		return ErrEmailDenied
	case i.verified.kind != kindNone && !i.verified.optional && !i.isVerified(ctx, r):
		return ErrEmailUnverified
	case !i.domainAllowed(domain):
		return ErrDomainNotAllowed
	}
	return nil
}

// domainAllowed reports whether the domain of an address is in the option domains, in
// Unicode or in punycode. Subdomains are not included.
func (i *Identifier) domainAllowed(domain string) bool {
	if i.domains == nil {
		return true
	}
	var buf [syntax.MaxAddress]byte
	_, ok := i.domains[string(syntax.AppendDomain(buf[:0], domain))]
	return ok
}

// Names returns the user's first and last name for display. Either may be empty, and a
// name never causes a rejection. The trust rules are the same as for the address.
//
// Only a sign-up needs names, so Identify does not read them. Call Names after
// Identify, with the same Request.
func (i *Identifier) Names(ctx context.Context, r *Request) (first, last masked.String) {
	firstName := names.Limit(i.readName(ctx, r, &i.firstName))
	lastName := names.Limit(i.readName(ctx, r, &i.lastName))
	if firstName == "" || lastName == "" {
		f, l := names.Split(i.readName(ctx, r, &i.name))
		// If the name is "Miller" and the last name is "Miller" too, it is not also the
		// first name.
		single := l == ""
		if firstName == "" && !(single && lastName != "") {
			firstName = names.Limit(f)
		}
		if lastName == "" {
			lastName = names.Limit(l)
		}
	}
	return masked.New(firstName), masked.New(lastName)
}

// readName returns the decoded name of a source, of any length, or "" if there is none.
func (i *Identifier) readName(ctx context.Context, r *Request, s *source) string {
	if s.kind == kindNone {
		return ""
	}
	raw, rejection := i.text(ctx, r, s)
	if rejection != nil {
		return ""
	}
	name := i.nameEncoding.Decode(raw)
	if s == &i.name && names.IsMissing(name) {
		return ""
	}
	return name
}
