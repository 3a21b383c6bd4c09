package assertion

import (
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// maxToken is how long a token may be, in bytes.
const maxToken = 16 << 10

// token is a token that has been taken apart. Nothing of it is to be believed
// before its signature has been verified.
type token struct {
	header    map[string]any
	algorithm string // alg of the header; empty if there is none
	kid       string // kid of the header; empty if there is none
	signed    string // what the signature is over: the first two parts as they came
	payload   []byte
	signature []byte
}

// readToken takes a token apart: a JWS in compact form, bare or as the
// credentials of the scheme Bearer.
func readToken(written string, encoding *jwt.Parser) (token, error) {
	written = withoutScheme(written)
	// The decoder of base64 would skip line breaks.
	if len(written) > maxToken || strings.ContainsAny(written, "\r\n") {
		return token{}, identity.ErrAssertionMalformed
	}
	parts := strings.SplitN(written, ".", 4)
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
		signed:    written[:len(parts[0])+1+len(parts[1])],
		payload:   decoded[1],
		signature: decoded[2],
	}
	return t, t.readHeader(decoded[0])
}

// readHeader reads the JOSE header. One that has a member twice is refused by
// claims.Parse: whoever else reads this token could take the other one.
func (t *token) readHeader(b []byte) error {
	header, err := claims.Parse(b)
	if err != nil || header.Map() == nil {
		return identity.ErrAssertionMalformed
	}
	t.header = header.Map()
	// crit lists members that must be understood. None is understood here.
	if _, ok := t.header["crit"]; ok {
		return identity.ErrAssertionMalformed
	}
	if kid, there := t.header["kid"]; there {
		var ok bool
		if t.kid, ok = kid.(string); !ok {
			return identity.ErrAssertionMalformed
		}
	}
	t.algorithm, _ = t.header["alg"].(string)
	return nil
}

// withoutScheme removes the scheme Bearer, in any case, and the spaces behind
// it.
func withoutScheme(written string) string {
	const scheme = "Bearer "
	if len(written) >= len(scheme) && strings.EqualFold(written[:len(scheme)], scheme) {
		return strings.TrimLeft(written[len(scheme):], " ")
	}
	return written
}
