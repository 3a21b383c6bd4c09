package identity

import (
	"context"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
)

// verification holds where the document that contains the address may deny that the
// address is verified.
type verification struct {
	// objects are the object with the address, and the one that contains that object.
	objects []claims.Path
	// flags are the members that deny it with false, 0, an empty text or the like.
	flags []string
	// times are the members that hold the time of the verification, so that null denies
	// it too.
	times []string
}

// newVerification returns the verification of an address that is read at one of paths.
// If named is true, the option verified names the member that decides, and members that
// may be about something else than the address are ignored.
func newVerification(paths []claims.Path, named bool) verification {
	v := verification{
		// The name in OpenID Connect (Core 1.0, section 5.1) and those of other
		// frameworks: Auth.js and Better Auth, Appwrite.
		flags: []string{"email_verified", "emailVerified", "emailVerification"},
		// Laravel; GoTrue.
		times: []string{"email_verified_at", "emailVerifiedAt", "email_confirmed_at"},
	}
	if !named {
		v.flags = append(v.flags, "is_verified", "isVerified", "verified", "confirmed")
		v.times = append(v.times, "confirmed_at")
	}
	for _, p := range paths {
		last := p[len(p)-1]
		if !syntax.IsInteger(last) {
			// The name that belongs to a claim such as https://clinic.example/email.
			v.flags = append(v.flags, last+"_verified")
		}
		v.objects = append(v.objects, enclosing(p)...)
	}
	return v
}

// enclosing returns the paths of the object that contains the value at p, and of the
// object that contains that one. Lists between them are included.
func enclosing(p claims.Path) (objects []claims.Path) {
	for end, levels := len(p)-1, 0; end >= 0 && levels < 2; end-- {
		objects = append(objects, p[:end])
		if !syntax.IsInteger(p[end]) { // an index leads into a list
			levels++
		}
	}
	return objects
}

// denied reports whether a document says that the address is not verified. If it has
// several such members, one of them is enough.
func (v *verification) denied(doc claims.Document) bool {
	for _, p := range v.objects {
		object, ok := doc.Lookup(p).(map[string]any)
		if !ok {
			continue
		}
		for _, name := range v.flags {
			if claims.IsNo(object[name]) {
				return true
			}
		}
		for _, name := range v.times {
			if value, ok := object[name]; ok && (value == nil || claims.IsNo(value)) {
				return true
			}
		}
	}
	return false
}

// deniesVerified reports whether the authentication says that the address that was just
// read is not verified: in the document that contains it, or at an optional verified
// source.
func (i *Identifier) deniesVerified(ctx context.Context, r *Request) bool {
	if i.email.paths != nil && i.verification.denied(r.read.document) {
		return true
	}
	return i.verified.optional && i.statesUnverified(ctx, r)
}

// statesUnverified reports whether the verified source denies that the address is
// verified. A source without a value does not. If there are several values, one of them
// is enough.
func (i *Identifier) statesUnverified(ctx context.Context, r *Request) bool {
	value, rejection := i.verifiedValue(ctx, r)
	switch rejection {
	case nil:
	case ErrDuplicateHeader:
		value = r.Header[i.verified.key]
	case ErrDuplicateResponseHeader:
		value = r.auth.header[i.verified.key]
	default:
		return rejection.Reason != ReasonMissing
	}
	values, ok := value.([]string)
	if text, isText := value.(string); isText {
		values, ok = []string{text}, true
	}
	if !ok {
		return claims.IsNo(value)
	}
	for _, text := range values {
		for part := range strings.SplitSeq(text, ",") { // several headers may be joined
			if strings.TrimSpace(part) != "" && claims.IsNo(part) {
				return true
			}
		}
	}
	return false
}

// isVerified reports whether the verified source confirms the address. If the source
// cannot be read or is not trusted, the result is false.
func (i *Identifier) isVerified(ctx context.Context, r *Request) bool {
	value, rejection := i.verifiedValue(ctx, r)
	if i.verified.strict {
		return rejection == nil && (value == true || value == "true")
	}
	return rejection == nil && claims.IsTrue(value)
}

// verifiedValue returns the value of the verified source.
func (i *Identifier) verifiedValue(ctx context.Context, r *Request) (any, *Rejection) {
	switch {
	case i.verified.paths != nil:
		return i.claim(ctx, r, &i.verified)
	case i.verified.kind == kindHeader || i.verified.kind == kindAuthServer:
		return i.text(ctx, r, &i.verified)
	}
	return i.lookup(r, i.verified.location)
}
