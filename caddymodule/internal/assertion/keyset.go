package assertion

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// maxTried is with how many keys a signature is checked at most. Only a token
// that does not say which is its key gets beyond one or two.
const maxTried = 16

// keySet is a set of public keys. It does not change. It is empty if all keys
// were withdrawn.
type keySet struct{ keys []publicKey }

type publicKey struct {
	kid       string
	algorithm string // the only one that it is for; empty: any that fits
	key       crypto.PublicKey
}

// The errors of an answer.
var (
	errNoSet    = errors.New("fetch keys: the answer is no JSON Web Key Set")
	errNoPEM    = errors.New("fetch keys: the answer is no public key in PEM form")
	errNoUsable = errors.New("fetch keys: the answer has no public key in it that can be used (RSA of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519)")
)

// parseSet reads a JSON Web Key Set. Keys that are private, symmetric, for
// encryption, or of a kind not known here are left out (RFC 7517, section 5).
// One without any that is left is a set all the same: whoever withdraws all
// keys means it. The error is for the log then.
func parseSet(b []byte) (*keySet, error) {
	var written struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &written); err != nil || written.Keys == nil {
		return nil, errNoSet
	}
	set := new(keySet)
	for _, w := range written.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(w) != nil || k.Use != "" && k.Use != "sig" || !isUsable(k.Key) {
			continue
		}
		set.keys = append(set.keys, publicKey{k.KeyID, k.Algorithm, k.Key})
	}
	if len(set.keys) == 0 {
		return set, errNoUsable
	}
	return set, nil
}

// parsePEM reads one key in PEM form, which says nothing of its id.
func parsePEM(b []byte, kid string) (*keySet, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errNoPEM
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errNoPEM
	}
	if !isUsable(key) {
		return nil, errNoUsable
	}
	return &keySet{[]publicKey{{kid: kid, key: key}}}, nil
}

// verify checks the signature of a token with the keys that may have made it.
// Its algorithm is one of those above.
func (s *keySet) verify(t token) error {
	a := algorithms[t.algorithm]
	tried := 0
	for _, k := range s.keys {
		if tried == maxTried {
			break
		}
		if !k.isFor(t) || !a.fits(k.key) {
			continue
		}
		tried++
		if a.method.Verify(t.signed, t.signature, k.key) == nil {
			return nil
		}
	}
	if tried == 0 {
		return identity.ErrAssertionKey
	}
	return identity.ErrAssertionSignature
}

// isFor reports whether a token may have been signed with this key, going by
// what both say of themselves. Without an id of one of them it may be.
func (k publicKey) isFor(t token) bool {
	return (t.kid == "" || k.kid == "" || t.kid == k.kid) && (k.algorithm == "" || k.algorithm == t.algorithm)
}

// has reports whether one of the keys has this id.
func (s *keySet) has(kid string) bool {
	return kid != "" && slices.ContainsFunc(s.keys, func(k publicKey) bool { return k.kid == kid })
}
