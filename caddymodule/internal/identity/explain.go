package identity

import (
	"context"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/syntax"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

// OptionValue is the value that Explain reads for one option. The identity command shows
// it to the operator.
type OptionValue struct {
	// Option is the name of the option.
	Option string
	// Source describes where the value is read, as text.
	Source string
	// Path is the path within the document that the value is from, if the source has
	// several.
	Path string
	// Value is the value read, as it is used.
	Value masked.String
	// Rejection is the reason why there is no value. It is nil if there is one.
	Rejection *Rejection
}

// Explain reads every source of a request. The values do not show whether the user is
// accepted: call Identify for that.
func (i *Identifier) Explain(ctx context.Context, r *Request) []OptionValue {
	var values []OptionValue
	if i.authServer != nil {
		_ = i.callAuthServer(ctx, r) // each source reports the rejection
	}
	for _, o := range i.sources(presets.Sources{}) {
		s := o.target
		if s.kind == kindNone {
			continue
		}
		v := OptionValue{Option: o.name, Source: s.describe()}
		switch o.name {
		case "email":
			v.Value, v.Rejection = i.explainAddress(ctx, r)
		case "user_id":
			id, rejection := i.id(ctx, r)
			v.Value, v.Rejection = masked.New(id), rejection
		case "verified":
			v.Value, v.Rejection = i.explainVerified(ctx, r)
		default:
			if v.Value, v.Rejection = i.explain(ctx, r, s); v.Rejection == nil {
				v.Value = masked.New(i.readName(ctx, r, s))
			}
		}
		if v.Rejection == nil {
			v.Path = i.usedPath(ctx, r, s)
		}
		values = append(values, v)
	}
	return values
}

func (i *Identifier) explain(ctx context.Context, r *Request, s *source) (masked.String, *Rejection) {
	text, rejection := i.text(ctx, r, s)
	return masked.New(text), rejection
}

// explainAddress explains the option email. With ByID, a value that is not an address
// is reported as a rejection, because Identify ignores it or rejects the user. Without
// ByID, the text is reported, because Identify rejects this text.
func (i *Identifier) explainAddress(ctx context.Context, r *Request) (masked.String, *Rejection) {
	if !i.byID {
		text, rejection := i.text(ctx, r, &i.email)
		return masked.New(syntax.TrimAddress(text)), rejection
	}
	address, _, rejection := i.address(ctx, r)
	return masked.New(address), rejection
}

// explainVerified explains the option verified as yes or no. If a preset's source has no
// value, it returns the reason.
func (i *Identifier) explainVerified(ctx context.Context, r *Request) (masked.String, *Rejection) {
	yes := i.isVerified(ctx, r)
	if i.verified.optional {
		if text, rejection := i.text(ctx, r, &i.verified); rejection != nil {
			return masked.New(text), rejection
		}
		yes = !i.statesUnverified(ctx, r)
	}
	if yes {
		return masked.New("yes"), nil
	}
	return masked.New("no"), nil
}

// usedPath returns the path that the value of a source is from, or "" if the source does
// not have several paths.
func (i *Identifier) usedPath(ctx context.Context, r *Request, s *source) string {
	paths := slices.Concat(s.paths, s.entra)
	text, rejection := i.text(ctx, r, s)
	if len(paths) < 2 || rejection != nil {
		return ""
	}
	doc, _ := i.document(ctx, r, s)
	for _, p := range paths {
		value, err := doc.Only(p)
		if err != nil {
			continue
		}
		// With entra, a path with another value may come before the one that is used.
		if found, ok := claims.Text(value); ok && strings.Contains(found, text) {
			return strings.Join(p, ".")
		}
	}
	return ""
}

// Headers returns the canonical names of the request headers that an identity is read
// from. A header that several options read is listed several times.
func (i *Identifier) Headers() []string {
	var headers []string
	for _, l := range i.locations() {
		switch l.kind {
		case kindHeader, kindAssertion:
			headers = append(headers, l.key)
		case kindCookie:
			headers = append(headers, "Cookie")
		}
	}
	return headers
}

// TokenHeaders returns the canonical names of the request headers in which clients send
// signed tokens. A header that several options read is listed several times.
func (i *Identifier) TokenHeaders() []string {
	var headers []string
	for _, l := range i.locations() {
		if l.kind == kindAssertion {
			headers = append(headers, l.key)
		}
	}
	return headers
}

// locations returns the locations of all sources. Those of unset sources are zero.
func (i *Identifier) locations() []location {
	all := []location{i.token}
	for _, o := range i.sources(presets.Sources{}) {
		all = append(all, o.target.location)
	}
	return all
}

// ResponseHeaders returns the canonical names of the headers that are read from the auth
// server's response. A header that several options read is listed several times.
func (i *Identifier) ResponseHeaders() []string {
	var headers []string
	for _, o := range i.sources(presets.Sources{}) {
		if name, ok := strings.CutPrefix(o.target.key, responsePrefix); ok && o.target.kind == kindResponse {
			headers = append(headers, name)
		}
	}
	return headers
}

// PlaceholderMap is a fixed set of placeholders, for use without a server.
type PlaceholderMap map[string]any

// Get implements Placeholders.
func (m PlaceholderMap) Get(name string) (any, bool) {
	v, ok := m[name]
	return v, ok
}

// ResponsePlaceholder returns the name of Caddy's placeholder for a header in the auth
// server's response (http.reverse_proxy.header.*).
func ResponsePlaceholder(header string) string {
	return responsePrefix + textproto.CanonicalMIMEHeaderKey(header)
}

// SetResponseFrom sets in known the placeholders that reverse_proxy sets after a
// successful request to one of dials (host:port, or unix/ and a path). It uses the first
// address that matches the upstream of trust, and reports whether there is one. If none
// matches, the last address stays set.
func (i *Identifier) SetResponseFrom(known PlaceholderMap, dials []string) bool {
	known[statusCode] = 200
	for _, dial := range dials {
		chosen := strings.TrimPrefix(dial, "unix/")
		known[upstreamHostPort] = chosen
		if i.upstream == "" || i.isUpstream(chosen) {
			return true
		}
	}
	return false
}

// describe returns a description of a source, as text.
func (s *source) describe() string {
	var b strings.Builder
	if len(s.paths) > 0 {
		for n, p := range slices.Concat(s.paths, s.entra) {
			if n > 0 {
				b.WriteString(" or ")
			}
			b.WriteString(strings.Join(p, "."))
		}
		b.WriteString(" in ")
	}
	if s.signed {
		b.WriteString("the signed assertion in ")
	}
	switch s.kind {
	case kindHeader, kindAssertion:
		b.WriteString("the request header " + s.key)
	case kindResponse:
		b.WriteString("the header " + strings.TrimPrefix(s.key, responsePrefix) + " of the auth server's response")
	case kindAuthServer:
		b.WriteString("the header " + s.key + " of the auth server's response")
	case kindCookie:
		b.WriteString("the cookie " + s.key)
	case kindApplication:
		b.WriteString("the application's response")
	default:
		b.WriteString("the placeholder {" + s.key + "}")
	}
	return b.String()
}

// OrderPlaceholders are the placeholders by which CheckOrder knows what ran before a
// directive.
var OrderPlaceholders = []string{upstreamHostPort, statusCode, userPrefix + "id"}

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
