package assertion

import (
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// maxToken is the maximum length of a token in bytes.
const maxToken = 16 << 10

// token is a parsed token. Do not trust its content before its signature is verified.
type token struct {
	header    map[string]any
	algorithm string // alg of the header, canonical; empty if missing
	kid       string // kid of the header; empty if missing
	signed    string // the signed text: the first two parts, as received
	payload   []byte
	signature []byte
}

// parseToken parses a token: a JWS in compact form, alone or as credentials of the
// scheme Bearer.
func parseToken(text string, encoding *jwt.Parser) (token, error) {
	text = trimScheme(text)
	// The base64 decoder would skip line breaks.
	if len(text) > maxToken || strings.ContainsAny(text, "\r\n") {
		return token{}, identity.ErrAssertionMalformed
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 3 {
		return token{}, identity.ErrAssertionMalformed
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := encoding.DecodeSegment(part)
		if err != nil {
			return token{}, identity.ErrAssertionMalformed
		}
		decoded[i] = b
	}
	t := token{
		signed:    text[:len(parts[0])+1+len(parts[1])],
		payload:   decoded[1],
		signature: decoded[2],
	}
	return t, t.parseHeader(decoded[0])
}

// parseHeader parses the JOSE header. claims.Parse rejects a header with a duplicate
// member, because another reader of this token could use the other value.
func (t *token) parseHeader(b []byte) error {
	header, err := claims.Parse(b)
	if err != nil || header.Map() == nil {
		return identity.ErrAssertionMalformed
	}
	t.header = header.Map()
	// crit lists extensions that must be understood (RFC 7515, section 4.1.11). None is
	// supported.
	if _, ok := t.header["crit"]; ok {
		return identity.ErrAssertionMalformed
	}
	if kid := t.header["kid"]; kid != nil { // null is the same as absent, as for nbf
		var ok bool
		if t.kid, ok = kid.(string); !ok {
			return identity.ErrAssertionMalformed
		}
	}
	name, _ := t.header["alg"].(string)
	t.algorithm = canonicalAlgorithm(name)
	return nil
}

// trimScheme removes the scheme Bearer, in any case, and the spaces after it.
func trimScheme(text string) string {
	const scheme = "Bearer "
	if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
		return strings.TrimLeft(text[len(scheme):], " ")
	}
	return text
}
