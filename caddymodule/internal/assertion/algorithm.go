package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"maps"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// Sizes of RSA keys in bits. Smaller keys must not be used (RFC 7518, section 3.3).
// Larger keys only cost time.
const (
	minRSA = 2048
	maxRSA = 8192
)

// algorithm is a signature algorithm that uses a public key.
type algorithm struct {
	method jwt.SigningMethod
	// accepts reports whether a public key can be used with this algorithm. The methods
	// of the jwt library accept a key of any curve.
	accepts func(crypto.PublicKey) bool
}

// algorithms are all supported algorithms. They are listed here because the library
// also has "none" and algorithms with a shared secret.
var algorithms = map[string]algorithm{
	"RS256": {jwt.SigningMethodRS256, isRSA},
	"RS384": {jwt.SigningMethodRS384, isRSA},
	"RS512": {jwt.SigningMethodRS512, isRSA},
	"PS256": {jwt.SigningMethodPS256, isRSA},
	"PS384": {jwt.SigningMethodPS384, isRSA},
	"PS512": {jwt.SigningMethodPS512, isRSA},
	"ES256": {jwt.SigningMethodES256, isOnCurve(elliptic.P256())},
	"ES384": {jwt.SigningMethodES384, isOnCurve(elliptic.P384())},
	"ES512": {jwt.SigningMethodES512, isOnCurve(elliptic.P521())},
	"EdDSA": {jwt.SigningMethodEdDSA, isEd25519},
}

// canonicalAlgorithm returns the name of an algorithm as it is written in algorithms.
// Ed25519 (RFC 9864, section 2.2) is EdDSA with the only curve that is supported.
func canonicalAlgorithm(name string) string {
	if name == "Ed25519" {
		return "EdDSA"
	}
	return name
}

// defaultAlgorithms returns the algorithms that are accepted if the config names none.
func defaultAlgorithms(aws bool) []string {
	if aws {
		return []string{"ES256"}
	}
	return slices.Collect(maps.Keys(algorithms))
}

// isUsable reports whether key is a public key of a supported algorithm.
func isUsable(key crypto.PublicKey) bool {
	for _, a := range algorithms {
		if a.accepts(key) {
			return true
		}
	}
	return false
}

func isRSA(key crypto.PublicKey) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
}

func isOnCurve(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(key crypto.PublicKey) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve == curve
	}
}

func isEd25519(key crypto.PublicKey) bool {
	_, ok := key.(ed25519.PublicKey)
	return ok
}
