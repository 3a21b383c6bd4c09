package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
)

// text returns what a source gives, if it is one text that is not blank.
func (i *Identifier) text(ctx context.Context, r *Request, s *source) (text string, rejection *Rejection) {
	if s.paths == nil {
		text, rejection = i.plain(r, s.place)
	} else {
		var value any
		if value, rejection = i.claim(ctx, r, s); rejection == nil {
			text, rejection = single(value)
		}
	}
	if rejection != nil {
		return "", rejection
	}
	if at := strings.LastIndex(text, s.after); s.after != "" && at >= 0 {
		// In front of one value stands what gave it, never another value.
		if strings.ContainsAny(text[:at], "@,; \t") {
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

// plain returns what stands at a place, as text. Empty is nothing.
func (i *Identifier) plain(r *Request, p place) (string, *Rejection) {
	if p.kind != kindHeader && p.kind != kindAssertion {
		value, rejection := i.lookup(r, p)
		if rejection != nil {
			return "", rejection
		}
		return single(value)
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
		return "", ErrHeaderTwice
	}
	return values[0], nil
}

// claim returns what a document says, if it is to be believed.
func (i *Identifier) claim(ctx context.Context, r *Request, s *source) (any, *Rejection) {
	doc, rejection := i.document(ctx, r, s)
	if rejection != nil {
		return nil, rejection
	}
	for _, p := range s.paths {
		v, err := doc.Only(p)
		switch {
		case err != nil:
			return nil, ErrSeveral
		case v != nil:
			return v, nil
		}
	}
	return nil, ErrNotClaimed
}

// document returns the document of a source. The last one is kept with the
// request: all that is asked of a user mostly stands in one.
func (i *Identifier) document(ctx context.Context, r *Request, s *source) (claims.Document, *Rejection) {
	if r.read.of != s.place {
		doc, rejection := i.fetch(ctx, r, s)
		if s.list && rejection == nil {
			doc = doc.FromList()
		}
		r.read.of, r.read.document, r.read.rejection = s.place, doc, rejection
	}
	return r.read.document, r.read.rejection
}

func (i *Identifier) fetch(ctx context.Context, r *Request, s *source) (claims.Document, *Rejection) {
	if s.kind == kindApplication {
		doc, err := i.asker.Ask(ctx, r.Host, r.Header)
		return doc, rejectionOf(err, ErrUserinfoUnavailable)
	}
	text, rejection := i.plain(r, s.place)
	switch {
	case rejection != nil:
		return claims.Document{}, rejection
	case strings.TrimSpace(text) == "":
		return claims.Document{}, ErrEmpty
	case s.signed:
		doc, err := i.verifier.Verify(ctx, text)
		return doc, rejectionOf(err, ErrAssertionMalformed)
	}
	doc, err := claims.Decode(text)
	return doc, rejectionOf(err, ErrNotDocument)
}

// rejectionOf returns the rejection that an error is, or else the given one.
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

// isTrue reads a yes or no.
func isTrue(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case json.Number:
		return affirms(string(v))
	}
	text, rejection := single(value)
	return rejection == nil && affirms(text)
}

// isFalse reports whether a value says no in so many words.
func isFalse(value any) bool {
	switch v := value.(type) {
	case bool:
		return !v
	case json.Number:
		n, err := v.Float64()
		return err == nil && n == 0
	case string:
		return oneOf(strings.TrimSpace(v), "false", "0", "no", "off", "f", "n")
	case []any:
		return len(v) > 0 && isFalse(v[0])
	}
	return false
}

// affirms reports whether text is one of the ways to write yes.
func affirms(text string) bool { return oneOf(text, "true", "1", "yes", "on") }

// oneOf reports whether text is one of these words, but for ASCII case.
func oneOf(text string, words ...string) bool {
	for _, word := range words {
		if equalFold(text, word) {
			return true
		}
	}
	return false
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
func (i *Identifier) lookup(r *Request, s place) (any, *Rejection) {
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
func unset(r *Request, s place) *Rejection {
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

// templateInclude is the header that Caddy's template function httpInclude sets
// (modules/caddyhttp/templates/tplcontext.go).
const templateInclude = "Caddy-Templates-Include"

// checkPeer tells why a header of the request is not to be believed, or nil.
func (i *Identifier) checkPeer(r *Request) *Rejection {
	// A template that includes another page of this server asks for it from a
	// loopback address, with all headers of its own request.
	if r.Header[templateInclude] != nil {
		return ErrTemplateInclude
	}
	// Until the handshake is over, a QUIC client may claim any address.
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return ErrEarlyData
	}
	trusted := r.TrustedProxy
	if len(i.ranges) > 0 {
		trusted = i.inRanges(r.RemoteAddr)
	}
	if !trusted {
		return ErrUntrustedPeer
	}
	return nil
}

// inRanges reports whether a peer is within the ranges.
func (i *Identifier) inRanges(remote string) bool {
	peer, ok := peerAddr(remote)
	if !ok {
		return false
	}
	for _, p := range i.ranges {
		if p.Contains(peer) {
			return true
		}
	}
	return false
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
