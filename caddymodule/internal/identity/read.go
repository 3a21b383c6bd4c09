package identity

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// text returns the value of a source as text that is not blank, or the reason why there
// is none.
func (i *Identifier) text(ctx context.Context, r *Request, s *source) (text string, rejection *Rejection) {
	if s.paths == nil {
		text, rejection = i.plainValue(r, s.location)
	} else {
		var value any
		if value, rejection = i.claim(ctx, r, s); rejection == nil {
			text, rejection = textOf(value)
		}
	}
	if rejection != nil {
		return "", rejection
	}
	if at := strings.LastIndex(text, s.after); s.after != "" && at >= 0 {
		// The prefix names the origin of the value. It must not contain another value.
		if strings.ContainsAny(strings.TrimLeft(text[:at], " \t"), "@,; \t") {
			return "", ErrNotAddress
		}
		text = text[at+len(s.after):]
	}
	if s.first {
		text, _, _ = strings.Cut(text, ",")
	}
	if strings.TrimSpace(text) == "" {
		return "", ErrEmpty
	}
	return text, nil
}

// plainValue returns the value at p as text. An empty value is returned as "".
func (i *Identifier) plainValue(r *Request, p location) (string, *Rejection) {
	switch p.kind {
	case kindAuthServer:
		return r.authServerHeader(p.key)
	case kindCookie:
		return i.cookie(r, p.key)
	}
	if p.kind != kindHeader && p.kind != kindAssertion {
		value, rejection := i.lookup(r, p)
		if rejection != nil {
			return "", rejection
		}
		return textOf(value)
	}
	values := r.Header[p.key]
	if len(values) == 0 {
		return "", ErrNoHeader
	}
	if p.kind == kindHeader {
		if rejection := i.checkPeer(r); rejection != nil {
			return "", rejection
		}
	}
	if len(values) > 1 {
		return "", ErrDuplicateHeader
	}
	return values[0], nil
}

// claim returns the value of a source in a document, at the first of its paths that has
// a value which is not empty. If there are empty values alone, it returns one of them.
func (i *Identifier) claim(ctx context.Context, r *Request, s *source) (any, *Rejection) {
	doc, rejection := i.document(ctx, r, s)
	if rejection != nil {
		return nil, rejection
	}
	value, rejection := firstValue(doc, s.paths)
	if rejection != nil || s.entra == nil {
		return valueOr(value, rejection)
	}
	found := !claims.IsBlank(value)
	counts := found && i.counts(doc, s, value)
	if counts || s.list && doc.AuthType() != "aad" {
		return valueOr(value, nil)
	}
	login, rejection := firstValue(doc, s.entra)
	text, _ := claims.Text(login)
	isGuest := strings.Contains(text, "#")
	switch {
	case found && rejection == nil && (isGuest || claims.IsBlank(login)):
		return nil, ErrDomainUnverified
	case isGuest:
		return nil, ErrNotAddress
	case login == nil:
		login = value
	}
	return valueOr(login, rejection)
}

// valueOr returns the value of a claim, or the reason why there is none.
func valueOr(value any, rejection *Rejection) (any, *Rejection) {
	switch {
	case rejection != nil:
		return nil, rejection
	case value == nil:
		return nil, ErrNoClaim
	}
	return value, nil
}

// firstValue returns the value at the first of paths that has one which is not empty. If
// there are empty values alone, it returns one of them; without any value, nil.
func firstValue(doc claims.Document, paths []claims.Path) (empty any, rejection *Rejection) {
	for _, p := range paths {
		switch v, err := doc.Only(p); {
		case err != nil:
			return nil, ErrMultipleValues
		case !claims.IsBlank(v):
			return v, nil
		case empty == nil:
			empty = v
		}
	}
	return empty, nil
}

// document returns the document of a source. The last document is cached in the
// request, because most sources of a user read the same one.
func (i *Identifier) document(ctx context.Context, r *Request, s *source) (claims.Document, *Rejection) {
	if r.read.of != s.location {
		doc, rejection := i.fetch(ctx, r, s)
		if s.list && rejection == nil {
			doc = doc.FromList()
		}
		r.read.of, r.read.document, r.read.rejection = s.location, doc, rejection
	}
	return r.read.document, r.read.rejection
}

// isGuess reports whether the text that was just read from s has characters outside ASCII
// whose encoding is a guess. As an address or id it might be that of another user.
func (r *Request) isGuess(s *source, text string) bool {
	return s.paths != nil && r.read.document.IsLatin1() && strings.ContainsFunc(text, func(c rune) bool { return c >= utf8.RuneSelf })
}

// fetch reads the document of a source.
func (i *Identifier) fetch(ctx context.Context, r *Request, s *source) (claims.Document, *Rejection) {
	if i.token.kind != kindNone {
		return i.fetchVerified(ctx, r)
	}
	if s.kind == kindApplication {
		doc, err := i.userinfoClient.Fetch(ctx, r.Host, r.Header)
		return doc, rejectionOf(err, ErrUserinfoUnavailable)
	}
	text, rejection := i.plainValue(r, s.location)
	switch {
	case rejection != nil:
		return claims.Document{}, rejection
	case strings.TrimSpace(text) == "":
		return claims.Document{}, ErrEmpty
	case s.signed:
		doc, err := i.verifier.Verify(ctx, text, r.RemoteAddr)
		return doc, rejectionOf(err, ErrAssertionMalformed)
	}
	doc, err := claims.Decode(text)
	return doc, rejectionOf(err, ErrNotDocument)
}

// rejectionOf returns err as a *Rejection, or otherwise if it is another error. It
// returns nil if err is nil.
func rejectionOf(err error, otherwise *Rejection) *Rejection {
	var rejection *Rejection
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rejection):
		return rejection
	}
	return otherwise
}

// textOf is claims.Text with a rejection.
func textOf(value any) (string, *Rejection) {
	text, ok := claims.Text(value)
	if !ok {
		return "", ErrNotText
	}
	return text, nil
}

// lookup returns the value of a placeholder, if its source is trusted on this request.
// Placeholders within the value are not replaced.
func (i *Identifier) lookup(r *Request, s location) (any, *Rejection) {
	if s.kind == kindCertificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return nil, ErrUnverifiedCertificate
	}
	if r.Placeholders == nil {
		return nil, unsetReason(r, s)
	}
	value, known := r.Placeholders.Get(s.key)
	if s.kind == kindResponse && i.upstream != "" {
		switch chosen, proxied := r.Placeholders.Get(upstreamHostPort); {
		case !proxied && !known:
			return nil, ErrNoForwardAuth
		case !i.isUpstream(chosen):
			return nil, ErrWrongUpstream
		}
	}
	switch {
	case !known:
		return nil, unsetReason(r, s)
	case s.kind == kindResponse && !isSuccess(r.Placeholders):
		return nil, ErrAuthStatus
	}
	return value, nil
}

// Placeholders that Caddy's reverse_proxy sets: the upstream it chose, and the status of
// its response.
const (
	upstreamHostPort = "http.reverse_proxy.upstream.hostport"
	statusCode       = "http.reverse_proxy.status_code"
)

// isUpstream reports whether the value of upstreamHostPort is the auth server. The path
// of a socket is compared case-sensitively.
func (i *Identifier) isUpstream(chosen any) bool {
	text, ok := chosen.(string)
	isHost := strings.Contains(i.upstream, ":") && !strings.ContainsAny(i.upstream, "/@") // @: an abstract socket
	return ok && (text == i.upstream || isHost && len(text) == len(i.upstream) && strings.EqualFold(text, i.upstream))
}

// unsetReason returns the reason why the placeholder of a source is unset.
func unsetReason(r *Request, s location) *Rejection {
	knows := func(name string) bool {
		if r.Placeholders == nil {
			return false
		}
		_, known := r.Placeholders.Get(name)
		return known
	}
	switch s.kind {
	case kindUser:
		// Caddy sets the id of every authenticated user, even to an empty one.
		if !knows(userPrefix + "id") {
			return ErrNoAuthentication
		}
		return ErrNoUserPlaceholder
	case kindResponse:
		if !knows(statusCode) {
			return ErrNoForwardAuth
		}
		return ErrNoResponseHeader
	default:
		return ErrUnset
	}
}

// isSuccess reports whether the response of the last proxy has a 2xx status.
func isSuccess(p Placeholders) bool {
	value, _ := p.Get(statusCode)
	status, ok := value.(int)
	return ok && status >= 200 && status <= 299
}
