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

// The sizes of RSA keys. Smaller ones must not be used (RFC 7518, section
// 3.3); larger ones only cost time.
const (
	minRSA = 2048
	maxRSA = 8192
)

// algorithm is a way to sign with a private key.
type algorithm struct {
	method jwt.SigningMethod
	// fits reports whether a public key is for this algorithm. The methods of
	// the library take a key of any curve.
	fits func(crypto.PublicKey) bool
}

// algorithms are all there are. They are listed here instead of asking the
// library, which also knows none and those with a shared secret.
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

// defaultAlgorithms are those that are accepted where none is named.
func defaultAlgorithms(aws bool) []string {
	if aws {
		return []string{"ES256"}
	}
	return slices.Collect(maps.Keys(algorithms))
}

// isUsable reports whether a key is a public one that an algorithm is for.
func isUsable(key crypto.PublicKey) bool {
	for _, a := range algorithms {
		if a.fits(key) {
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
