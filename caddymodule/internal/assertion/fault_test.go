package assertion

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

func TestI17Good(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	doc := accept(t, v, es256(nil))
	if doc.Map()["sub"] != "u-1" {
		t.Errorf("the claims are %v", doc.Map())
	}
	for _, prefix := range []string{"Bearer ", "bearer ", "BEARER  "} {
		accept(t, v, prefix+es256(nil))
	}
	for _, prefix := range []string{"Bearer", "Basic ", "Bearer Bearer ", " ", "Bearer\t"} {
		reject(t, v, prefix+es256(nil), identity.ErrAssertionMalformed)
	}
	reject(t, v, es256(nil)+" ", identity.ErrAssertionMalformed)
}

func TestI17Times(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	now := time.Now().Unix()
	for _, test := range []struct {
		name   string
		change object
		want   error
	}{
		{"expired", object{"exp": now - 31}, identity.ErrAssertionExpired},
		{"expired within leeway", object{"exp": now - 25}, nil},
		{"a fraction", object{"exp": float64(now) + 60.5}, nil},
		{"no exp", object{"exp": nil}, identity.ErrAssertionExpired},
		{"EXP instead", object{"exp": nil, "EXP": now + 300}, identity.ErrAssertionExpired},
		{"exp as a text", object{"exp": "9999999999"}, identity.ErrAssertionExpired},
		{"exp as a bool", object{"exp": true}, identity.ErrAssertionExpired},
		{"exp as a list", object{"exp": []int64{now + 300}}, identity.ErrAssertionExpired},
		{"exp as an object", object{"exp": object{}}, identity.ErrAssertionExpired},
		{"exp 0", object{"exp": 0}, identity.ErrAssertionExpired},
		{"exp below 0", object{"exp": -1}, identity.ErrAssertionExpired},
		{"exp in the year 9999", object{"exp": maxSeconds}, nil},
		{"exp in the year 10000", object{"exp": maxSeconds + 1}, identity.ErrAssertionExpired},
		{"exp huge", object{"exp": 1e300}, identity.ErrAssertionExpired},
		{"exp hugely negative", object{"exp": -1e300}, identity.ErrAssertionExpired},
		{"nbf ahead", object{"nbf": now + 60}, identity.ErrAssertionNotYetValid},
		{"nbf within leeway", object{"nbf": now + 25}, nil},
		{"no nbf", object{"nbf": nil}, nil},
		{"nbf as a text", object{"nbf": "1"}, identity.ErrAssertionMalformed},
		{"nbf huge", object{"nbf": 1e300}, identity.ErrAssertionMalformed},
		{"nbf hugely negative", object{"nbf": -1e300}, identity.ErrAssertionMalformed},
		{"iat ahead", object{"iat": now + 60}, identity.ErrAssertionNotYetValid},
		{"iat within leeway", object{"iat": now + 25}, nil},
		{"no iat", object{"iat": nil}, nil},
		{"iat as a text", object{"iat": "1"}, identity.ErrAssertionMalformed},
		{"expired and still good", object{"exp": now - 31, "nbf": now + 60}, identity.ErrAssertionExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == nil {
				accept(t, v, es256(test.change))
			} else {
				reject(t, v, es256(test.change), test.want)
			}
		})
	}
	t.Run("numbers as text", func(t *testing.T) {
		for exp, want := range map[string]error{
			"null":                       identity.ErrAssertionExpired,
			"1e400":                      identity.ErrAssertionExpired,
			"-1e400":                     identity.ErrAssertionExpired,
			"253402300799000e-3":         nil,
			"18446744073709551617":       identity.ErrAssertionExpired,
			"9223372036854775807":        identity.ErrAssertionExpired,
			"1" + strings.Repeat("0", 9): identity.ErrAssertionExpired,
		} {
			token := signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`,
				`{"iss":"`+issuer+`","aud":"`+audience+`","email":"ada@example.org","exp":`+exp+`}`)
			if want == nil {
				accept(t, v, token)
			} else {
				reject(t, v, token, want)
			}
		}
	})
}

func TestI17Issuer(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	for _, iss := range []any{
		nil, "", "https://evil.example", issuer + "/", "HTTPS://auth.example.com", issuer + "\x00",
		[]string{issuer}, object{"iss": issuer}, 1, true,
	} {
		reject(t, v, es256(object{"iss": iss}), identity.ErrAssertionIssuer)
	}
	reject(t, v, es256(object{"iss": nil, "ISS": issuer}), identity.ErrAssertionIssuer)
}

func TestI17Audience(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	for _, aud := range []any{"other", []string{audience}, []string{"x", audience, "y"}} {
		accept(t, v, es256(object{"aud": aud}))
	}
	for _, aud := range []any{
		nil, "", "x", audience + "2", strings.ToUpper(audience), []string{}, []string{"x"}, []any{audience, 1},
		[]any{[]string{audience}}, object{audience: true}, 1, true,
	} {
		reject(t, v, es256(object{"aud": aud}), identity.ErrAssertionAudience)
	}
	reject(t, v, es256(object{"aud": nil, "Aud": audience}), identity.ErrAssertionAudience)
}

// TestI17Algorithms verifies every algorithm with its own key and with those of all
// others.
func TestI17Algorithms(t *testing.T) {
	signers := []struct {
		method jwt.SigningMethod
		kid    string
		key    any
	}{
		{jwt.SigningMethodRS256, "rsa", rsaKey()}, {jwt.SigningMethodRS384, "rsa", rsaKey()}, {jwt.SigningMethodRS512, "rsa", rsaKey()},
		{jwt.SigningMethodPS256, "rsa", rsaKey()}, {jwt.SigningMethodPS384, "rsa", rsaKey()}, {jwt.SigningMethodPS512, "rsa", rsaKey()},
		{jwt.SigningMethodES256, "p256", p256()}, {jwt.SigningMethodES384, "p384", p384()}, {jwt.SigningMethodES512, "p521", p521()},
		{jwt.SigningMethodEdDSA, "ed", edKey()},
	}
	server := newKeyServer(t, jwk("rsa", rsaKey()), jwk("p256", p256()), jwk("p384", p384()), jwk("p521", p521()), jwk("ed", edKey()))
	keys := keysOf(t, Source{URL: server.URL}, nil)
	all := verifierOf(t, keys)
	for _, signer := range signers {
		name := signer.method.Alg()
		t.Run(name, func(t *testing.T) {
			token := sign(signer.method, signer.key, object{"kid": signer.kid}, goodClaims(nil))
			accept(t, all, token)
			accept(t, verifierOf(t, keys, func(c *Config) { c.Algorithms = []string{name} }), token)
			for _, other := range signers {
				if other.method == signer.method {
					continue
				}
				otherName := other.method.Alg()
				pinned := verifierOf(t, keys, func(c *Config) { c.Algorithms = []string{otherName} })
				reject(t, pinned, token, identity.ErrAssertionAlgorithm)

				// The same signature under another algorithm name.
				renamed := sign(signer.method, signer.key, object{"kid": signer.kid, "alg": otherName}, goodClaims(nil))
				want := identity.ErrAssertionKey
				if other.kid == signer.kid {
					want = identity.ErrAssertionSignature
				}
				reject(t, all, renamed, want)
			}
		})
	}
}

func TestI17Unsigned(t *testing.T) {
	server := newKeyServer(t, jwk("k1", p256()), jwk("r1", rsaKey()))
	v := verifierOf(t, keysOf(t, Source{URL: server.URL}, nil))
	payload := encode(asJSON(goodClaims(nil)))
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `""`, `"es256"`, `"ES256 "`, `"ES256K"`, `"RSA-OAEP"`, `"dir"`, `null`, `1`, `["ES256"]`, `{}`} {
		head := encode(`{"alg":` + alg + `,"kid":"k1"}`)
		reject(t, v, head+"."+payload+".", identity.ErrAssertionAlgorithm)
		reject(t, v, head+"."+payload+"."+parts(es256(nil))[2], identity.ErrAssertionAlgorithm)
	}
	reject(t, v, encode(`{"kid":"k1"}`)+"."+payload+".", identity.ErrAssertionAlgorithm)
	reject(t, v, encode(`{"ALG":"ES256","kid":"k1"}`)+"."+payload+".", identity.ErrAssertionAlgorithm)
	reject(t, v, encode(`{"alg":"ES256","kid":"none"}`)+"."+payload, identity.ErrAssertionMalformed)
	server.wantHits(t, 0)
}

// TestI17HMAC uses the public keys as the secret of an HMAC, in every form that a
// library might accept.
func TestI17HMAC(t *testing.T) {
	symmetric := []byte("a symmetric key of the key server")
	server := newKeyServer(t, jwk("k1", p256()), jwk("r1", rsaKey()), jose.JSONWebKey{KeyID: "s1", Key: symmetric})
	v := verifierOf(t, keysOf(t, Source{URL: server.URL}, nil))
	for name, secret := range map[string][]byte{
		"symmetric":       symmetric,
		"PEM":             []byte(pemOf(rsaKey())),
		"PEM trimmed":     []byte(strings.TrimSpace(pemOf(rsaKey()))),
		"modulus":         rsaKey().N.Bytes(),
		"modulus encoded": []byte(encode(rsaKey().N.Bytes())),
		"JWK":             asJSON(jwk("r1", rsaKey())),
		"set":             []byte(setOf(jwk("k1", p256()), jwk("r1", rsaKey()))),
		"EC PEM":          []byte(pemOf(p256())),
		"EC x":            p256().X.Bytes(),
		"one byte":        {0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				for _, kid := range []string{"k1", "r1", "s1"} {
					reject(t, v, sign(method, secret, object{"kid": kid}, goodClaims(nil)), identity.ErrAssertionAlgorithm)
					for _, alg := range []string{"RS256", "ES256"} {
						token := sign(method, secret, object{"kid": kid, "alg": alg}, goodClaims(nil))
						if _, err := v.Verify(t.Context(), token, ""); err != identity.ErrAssertionSignature && err != identity.ErrAssertionKey {
							t.Fatalf("got %v", err)
						}
					}
				}
			}
		})
	}
}

// TestI17OwnKey verifies that keys within a token are ignored.
func TestI17OwnKey(t *testing.T) {
	evil := p256b()
	server := newKeyServer(t, jwk("evil", evil))
	v := newVerifier(t, jwk("k1", p256()))
	for _, header := range []object{
		{"jwk": jwk("k1", evil)},
		{"jku": server.URL}, {"x5u": server.URL},
		{"jwk": jwk("k1", evil), "kid": "k1"},
		{"kid": server.URL}, {"kid": "../../../../dev/null"}, {"kid": ""},
	} {
		token := sign(jwt.SigningMethodES256, evil, header, goodClaims(nil))
		if _, err := v.Verify(t.Context(), token, ""); err != identity.ErrAssertionSignature && err != identity.ErrAssertionKey {
			t.Errorf("%v: got %v", header, err)
		}
	}
	server.wantHits(t, 0)
}

func TestI17Tampered(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()), jwk("r1", rsaKey()), jwk("e1", edKey()))
	tokens := map[string]string{
		"ES256": es256(nil),
		"RS256": sign(jwt.SigningMethodRS256, rsaKey(), object{"kid": "r1"}, goodClaims(nil)),
		"PS256": sign(jwt.SigningMethodPS256, rsaKey(), object{"kid": "r1"}, goodClaims(nil)),
		"EdDSA": sign(jwt.SigningMethodEdDSA, edKey(), object{"kid": "e1"}, goodClaims(nil)),
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			accept(t, v, token)
			p := parts(token)
			other := encode(asJSON(goodClaims(object{"email": "eve@example.org"})))
			reject(t, v, p[0]+"."+other+"."+p[2], identity.ErrAssertionSignature)
			reject(t, v, encode(string(decode(t, p[0]))+" ")+"."+p[1]+"."+p[2], identity.ErrAssertionSignature)
			reject(t, v, p[0]+"."+p[1]+".", identity.ErrAssertionSignature)
			reject(t, v, p[0]+"."+p[1]+"."+parts(tokens["ES256"])[2][:9], identity.ErrAssertionMalformed)

			// Flip every bit of the signature, and change every character of the token.
			signature := decode(t, p[2])
			for i := range signature {
				signature[i] ^= 1 << (i % 8)
				reject(t, v, p[0]+"."+p[1]+"."+encode(signature), identity.ErrAssertionSignature)
				signature[i] ^= 1 << (i % 8)
			}
			for i := range token {
				b := []byte(token)
				b[i]++
				if _, err := v.Verify(t.Context(), string(b), ""); err == nil {
					t.Fatalf("accepted with another character at %d", i)
				}
			}
		})
	}
}
