package assertion

import (
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// BenchmarkVerify verifies a token with a Verifier, and with the parser of golang-jwt.
// Both verify the signature, the issuer, the audience and the times. The sub-benchmark
// ratio calls both in turn, and reports the median time of the Verifier divided by that
// of golang-jwt, which must not exceed 1.3. Other load of the machine affects both alike.
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		method jwt.SigningMethod
		kid    string
		key    crypto.Signer
	}{
		{jwt.SigningMethodES256, "k1", p256()},
		{jwt.SigningMethodRS256, "r1", rsaKey()},
		{jwt.SigningMethodEdDSA, "e1", edKey()},
	} {
		token := sign(c.method, c.key, object{"kid": c.kid}, goodClaims(nil))
		v := newVerifier(b, jwk("k1", p256()), jwk("r1", rsaKey()), jwk("e1", edKey()))
		accept(b, v, token) // fetches the keys
		ours := func() error {
			_, err := v.Verify(b.Context(), token, "")
			return err
		}
		parser := jwt.NewParser(jwt.WithValidMethods([]string{c.method.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithIssuedAt())
		public := c.key.Public()
		theirs := func() error {
			_, err := parser.Parse(token, func(*jwt.Token) (any, error) { return public, nil })
			return err
		}
		run := func(name string, verify func() error) {
			b.Run(c.method.Alg()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					timed(b, verify)
				}
			})
		}
		run("Verifier", ours)
		run("golang-jwt", theirs)
		b.Run(c.method.Alg()+"/ratio", func(b *testing.B) {
			var our, their []time.Duration
			for b.Loop() {
				our, their = append(our, timed(b, ours)), append(their, timed(b, theirs))
			}
			b.ReportMetric(float64(median(our))/float64(median(their)), "ratio")
		})
	}
}

// timed returns how long verify takes.
func timed(b *testing.B, verify func() error) time.Duration {
	start := time.Now()
	if err := verify(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// median returns the median of times, which it sorts.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
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
