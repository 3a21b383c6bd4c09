package assertion

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// maxAttempts is the maximum number of keys that one signature is verified with. Only a
// token without a key id needs more than one or two.
const maxAttempts = 16

// keySet is an immutable set of public keys. It is empty if the key server withdrew all
// keys.
type keySet struct {
	keys []publicKey
	// leftOut says which keys of the response are not used, and why, for the log. It is
	// empty if there are none.
	leftOut string
}

type publicKey struct {
	kid       string
	algorithm string // the algorithm the key is restricted to; empty: any that fits
	key       crypto.PublicKey
}

// Errors of a response.
var (
	errNotJWKS     = errors.New("the response is not a JSON Web Key Set")
	errDiscovery   = errors.New("the response is an OpenID Connect discovery document, not a JWKS: write the URL in its member jwks_uri, or remove the option jwks and write the option issuer alone")
	errNotPEM      = errors.New("the response is not a public key in PEM form")
	errNoUsableKey = errors.New("the response contains no usable public key")
)

// parseSet parses a JSON Web Key Set. It leaves out keys that cannot verify a signature
// (RFC 7517, section 5). If no key remains, it returns an empty set and errNoUsableKey.
func parseSet(b []byte) (*keySet, error) {
	var document struct {
		Keys    []json.RawMessage `json:"keys"`
		JWKSURI json.RawMessage   `json:"jwks_uri"`
	}
	err := json.Unmarshal(b, &document)
	switch {
	case err == nil && document.Keys == nil && document.JWKSURI != nil:
		return nil, errDiscovery
	case err != nil || document.Keys == nil:
		return nil, errNotJWKS
	}
	set := new(keySet)
	var leftOut []string
	for i, raw := range document.Keys {
		k, err := parseJWK(raw)
		switch {
		case err == nil:
			set.keys = append(set.keys, k)
		case !errors.Is(err, errForEncryption): // these are published on purpose
			leftOut = append(leftOut, fmt.Sprintf("key %s: %v", jwkName(raw, i), err))
		}
	}
	set.leftOut = summary(leftOut)
	if len(set.keys) == 0 {
		return set, errNoUsableKey
	}
	return set, nil
}

// maxReasons is the maximum number of reasons in a summary.
const maxReasons = 5

// summary joins reasons to one line for the log.
func summary(reasons []string) string {
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(reasons[:maxReasons:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(reasons, "; ")
}

// parsePEM parses one public key in PEM form, and gives it the id kid.
func parsePEM(b []byte, kid string) (*keySet, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errNotPEM
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errNotPEM
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoUsableKey, err)
	}
	return &keySet{keys: []publicKey{{kid: kid, key: key}}}, nil
}

// verify verifies the signature of a token with the keys that may have made it. The
// token's algorithm must be one of algorithms.
func (s *keySet) verify(t token) error {
	a := algorithms[t.algorithm]
	attempts := 0
	for _, k := range s.keys {
		if attempts == maxAttempts {
			break
		}
		if !k.mayVerify(t) || !a.accepts(k.key) {
			continue
		}
		attempts++
		if a.method.Verify(t.signed, t.signature, k.key) == nil {
			return nil
		}
	}
	if attempts == 0 {
		return identity.ErrAssertionKey
	}
	return identity.ErrAssertionSignature
}

// mayVerify reports whether a token may have been signed with this key, according to key
// id and algorithm. A missing key id matches every key.
func (k publicKey) mayVerify(t token) bool {
	return (t.kid == "" || k.kid == "" || t.kid == k.kid) && (k.algorithm == "" || k.algorithm == t.algorithm)
}

// has reports whether the set has a key with this id. It returns false for an empty id.
func (s *keySet) has(kid string) bool {
	return kid != "" && slices.ContainsFunc(s.keys, func(k publicKey) bool { return k.kid == kid })
}

// equal reports whether both sets have the same keys in the same order. Both may be nil.
func (s *keySet) equal(other *keySet) bool {
	if s == nil || other == nil {
		return s == other
	}
	return slices.EqualFunc(s.keys, other.keys, publicKey.equal)
}

func (k publicKey) equal(other publicKey) bool {
	key, ok := k.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.kid == other.kid && k.algorithm == other.algorithm && key.Equal(other.key)
}
