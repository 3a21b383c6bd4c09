// Package identity decides who a request comes from. It reads the sources an
// operator named, believes only those that the asker cannot have written, and
// answers with one plain address, or one id, or with a Rejection: never with a
// guess, never with somebody anonymous.
//
// It knows nothing of the server around it. What it needs of a request comes
// in as a Request.
package identity

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/names"
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
	// Host is the request's host. The application may be told.
	Host string
	// Header is the request's header. It is read under trust proxies, and for
	// signed assertions and what the application is asked with.
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

	// read is the document that was read last, and from where; or why there
	// is none.
	read struct {
		of        place
		document  claims.Document
		rejection *Rejection
	}
}

// User is who a request comes from. Neither field prints.
type User struct {
	// Email is the address as it came. It is never empty, except with ByID:
	// there a user may have none.
	Email masked.String
	// ID is the authentication layer's own name of the user. It is empty
	// without a user_id source, and when that source has no usable value.
	// With ByID it is never empty.
	ID masked.String

	byID bool // the id says who it is
}

// AppendKey appends what tells users apart to dst: the address with its ASCII
// letters lowered. Unicode folding would make one user of different people
// (U+212A, the Kelvin sign, folds to k). With ByID it is the id as it came:
// nobody but the layer knows which of its ids are the same.
func (u User) AppendKey(dst []byte) []byte {
	if u.byID {
		return append(dst, u.ID.Reveal()...)
	}
	return appendLower(dst, u.Email.Reveal())
}

// Identifier reads users from requests. It does not change once made, and may
// be used by any number of requests at once.
type Identifier struct {
	email, userID, verified   source
	name, firstName, lastName source

	byID          bool // a user is who the id says
	addressNeeded bool // a user without an address is nobody

	sameID       bool          // one value is both address and id
	unverified   []claims.Path // where the address's document may say that it is not verified
	dotted       bool          // only with a dot in its domain it is an address
	nameEncoding names.Encoding
	domains      map[string]struct{} // ASCII-lowered; nil allows all
	upstream     upstream            // the zero value allows any
	ranges       []netip.Prefix      // empty: what the server says

	verifier Verifier
	asker    Asker
	forwards []string // see Forwards
}

// Forwards returns the canonical names of the request headers that the
// application is asked with. The caller must not change it.
func (i *Identifier) Forwards() []string { return i.forwards }

// Identify returns the user a request comes from. Its error is always a
// *Rejection, one of those this package declares.
func (i *Identifier) Identify(ctx context.Context, r *Request) (User, error) {
	if i.byID {
		return i.identifyByID(ctx, r)
	}
	address, at, rejection := i.address(ctx, r)
	if rejection == nil {
		rejection = i.refusal(ctx, r, address[at+1:])
	}
	if rejection != nil {
		return User{}, rejection
	}
	u := User{Email: masked.New(address)}
	if i.sameID { // as with basic_auth
		u.ID = u.Email
	} else if i.userID.kind != kindNone {
		// A user is who the address says; without a usable id there is just
		// none to pass on.
		id, _ := i.id(ctx, r)
		u.ID = masked.New(id)
	}
	return u, nil
}

// address returns the user's address, and where its @ stands.
func (i *Identifier) address(ctx context.Context, r *Request) (address string, at int, rejection *Rejection) {
	address, rejection = i.text(ctx, r, &i.email)
	if rejection != nil {
		return "", 0, rejection
	}
	at, ok := checkAddress(address)
	if !ok || i.dotted && !strings.Contains(address[at:], ".") {
		return "", 0, ErrNotAddress
	}
	return address, at, nil
}

// refusal tells why the user is not let in whose address, of this domain, was
// just read; or nil.
func (i *Identifier) refusal(ctx context.Context, r *Request, domain string) *Rejection {
	switch {
	case i.deniesVerified(r):
		return ErrEmailDenied
	case i.verified.kind != kindNone && !i.isVerified(ctx, r):
		return ErrEmailUnverified
	case !i.domainAllowed(domain):
		return ErrDomainNotAllowed
	}
	return nil
}

// deniesVerified reports whether the document that the address stands in says
// itself that it is not verified.
func (i *Identifier) deniesVerified(r *Request) bool {
	for _, p := range i.unverified {
		if isFalse(r.read.document.Lookup(p)) {
			return true
		}
	}
	return false
}

// isVerified reports whether the verified source affirms the address. Whatever
// it cannot say, also because it is not to be believed, is a no.
func (i *Identifier) isVerified(ctx context.Context, r *Request) bool {
	if i.verified.paths != nil {
		value, rejection := i.claim(ctx, r, &i.verified)
		return rejection == nil && isTrue(value)
	}
	if i.verified.kind == kindHeader {
		text, rejection := i.text(ctx, r, &i.verified)
		return rejection == nil && isTrue(text)
	}
	value, rejection := i.lookup(r, i.verified.place)
	return rejection == nil && isTrue(value)
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

// Names returns the user's first and last name, for display. Either may be
// empty, and nothing about them ever rejects a request. They are believed
// under the same rules as the address.
//
// Names are needed for a registration only, so Identify leaves them alone.
// They are asked for after it, of the same Request.
func (i *Identifier) Names(ctx context.Context, r *Request) (first, last masked.String) {
	firstName := names.Limit(i.readName(ctx, r, &i.firstName))
	lastName := names.Limit(i.readName(ctx, r, &i.lastName))
	if firstName == "" || lastName == "" {
		f, l := names.Split(i.readName(ctx, r, &i.name))
		// "Miller" beside the last name Miller is not a first name as well.
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

// readName returns what a source gives as a name, fit for display but of any
// length, or nothing.
func (i *Identifier) readName(ctx context.Context, r *Request, s *source) string {
	if s.kind == kindNone {
		return ""
	}
	raw, rejection := i.text(ctx, r, s)
	if rejection != nil {
		return ""
	}
	return i.nameEncoding.Decode(raw)
}
