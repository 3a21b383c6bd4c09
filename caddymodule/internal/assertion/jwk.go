package assertion

import (
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// jwkMembers are the members of a JWK that describe a public key (RFC 7517, section 4;
// RFC 7518, section 6; RFC 8037, section 2). All others are ignored. In particular, a
// certificate beside the key (x5c, x5t, x5t#S256, x5u) does not have to match it or to be
// well-formed: it is not used.
var jwkMembers = [...]string{"kty", "n", "e", "crv", "x", "y", "kid", "use", "alg"}

// Reasons why a key of a set is not used.
var (
	errForEncryption = errors.New("it is for encryption (use)")
	errNotJWK        = errors.New("it is not a JSON object")
	errSecret        = errors.New("it is not a public key: it has the member d or k, which must be kept secret")
	errUse           = errors.New("its use is not sig")
	errKeyOps        = errors.New("its key_ops do not contain verify")
	errMalformed     = errors.New("its members (kty, crv, n, e, x, y, kid, use, alg) are malformed, or its type is not supported; supported are RSA, P-256, P-384, P-521 and Ed25519")
	errKeyAlgorithm  = errors.New("its alg is not supported, or does not fit the type of the key")
)

// parseJWK parses a public key for signatures. The error is the reason why the key cannot
// be used.
func parseJWK(raw []byte) (publicKey, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return publicKey{}, errNotJWK
	}
	if isSet(members["d"]) || isSet(members["k"]) {
		return publicKey{}, errSecret
	}
	public := make(map[string]json.RawMessage, len(jwkMembers))
	for _, name := range jwkMembers {
		if value := members[name]; isSet(value) {
			public[name] = value
		}
	}
	b, err := json.Marshal(public)
	if err != nil {
		return publicKey{}, errMalformed
	}
	var k jose.JSONWebKey
	if k.UnmarshalJSON(b) != nil {
		if string(public["use"]) == `"enc"` {
			return publicKey{}, errForEncryption // such as one for ECDH with X25519
		}
		return publicKey{}, errMalformed
	}
	if err := checkPurpose(k, members["key_ops"]); err != nil {
		return publicKey{}, err
	}
	return publicKey{k.KeyID, canonicalAlgorithm(k.Algorithm), k.Key}, nil
}

// isSet reports whether a member of a JSON object is present and not null.
func isSet(value json.RawMessage) bool { return value != nil && string(value) != "null" }

// checkPurpose returns the reason why a well-formed key cannot verify signatures, or nil.
// operations is its member key_ops (RFC 7517, section 4.3). An empty list is the same as
// none, because some libraries write it for keys without the member.
func checkPurpose(k jose.JSONWebKey, operations json.RawMessage) error {
	switch k.Use {
	case "", "sig":
	case "enc":
		return errForEncryption
	default:
		return errUse
	}
	if isSet(operations) {
		var list []string
		if json.Unmarshal(operations, &list) != nil || len(list) > 0 && !slices.Contains(list, "verify") {
			return errKeyOps
		}
	}
	if err := checkKey(k.Key); err != nil {
		return err
	}
	if k.Algorithm == "" {
		return nil
	}
	if a, ok := algorithms[canonicalAlgorithm(k.Algorithm)]; !ok || !a.accepts(k.Key) {
		return errKeyAlgorithm
	}
	return nil
}

// checkKey returns the reason why a key fits no algorithm, or nil.
func checkKey(key crypto.PublicKey) error {
	if isUsable(key) {
		return nil
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		return fmt.Errorf("an RSA key of %d bits is not supported (%d to %d)", k.N.BitLen(), minRSA, maxRSA)
	}
	return errors.New("its type is not supported; supported are RSA, P-256, P-384, P-521 and Ed25519")
}

// maxKeyName is the maximum length of a key id in the log.
const maxKeyName = 64

// jwkName returns the id of a key for the log, or its number in the set.
func jwkName(raw []byte, index int) string {
	var k struct {
		ID string `json:"kid"`
	}
	if json.Unmarshal(raw, &k) != nil || k.ID == "" {
		return fmt.Sprintf("number %d", index+1)
	}
	return fmt.Sprintf("%q", k.ID[:min(len(k.ID), maxKeyName)])
}
