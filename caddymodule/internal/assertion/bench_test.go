package assertion

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		method jwt.SigningMethod
		kid    string
		key    any
	}{
		{jwt.SigningMethodES256, "k1", p256()},
		{jwt.SigningMethodRS256, "r1", rsaKey()},
		{jwt.SigningMethodEdDSA, "e1", edKey()},
	} {
		b.Run(c.method.Alg(), func(b *testing.B) {
			v := newVerifier(b, jwk("k1", p256()), jwk("r1", rsaKey()), jwk("e1", edKey()))
			token := sign(c.method, c.key, object{"kid": c.kid}, goodClaims(nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReject verifies a token that is rejected before a key is needed.
func BenchmarkReject(b *testing.B) {
	v := newVerifier(b, jwk("k1", p256()))
	token := encode(`{"alg":"none"}`) + "." + encode(asJSON(goodClaims(nil))) + "."
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token, ""); err == nil {
			b.Fatal("accepted")
		}
	}
}
