package assertion

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestI17Good(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	doc := accept(t, v, es256(nil))
	if doc.Map()["sub"] != "u-1" {
		t.Errorf("it says %v", doc.Map())
	}
	for _, prefix := range []string{"Bearer ", "bearer ", "BEARER  "} {
		accept(t, v, prefix+es256(nil))
	}
	for _, prefix := range []string{"Bearer", "Basic ", "Bearer Bearer ", " ", "Bearer\t"} {
		refuse(t, v, prefix+es256(nil), identity.ErrAssertionMalformed)
	}
	refuse(t, v, es256(nil)+" ", identity.ErrAssertionMalformed)
}

func TestI17Times(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		change object
		want   error
	}{
		"expired":                {object{"exp": now - 31}, identity.ErrAssertionExpired},
		"expired within leeway":  {object{"exp": now - 25}, nil},
		"a fraction":             {object{"exp": float64(now) + 60.5}, nil},
		"no exp":                 {object{"exp": nil}, identity.ErrAssertionExpired},
		"EXP instead":            {object{"exp": nil, "EXP": now + 300}, identity.ErrAssertionExpired},
		"exp as a text":          {object{"exp": "9999999999"}, identity.ErrAssertionExpired},
		"exp as a bool":          {object{"exp": true}, identity.ErrAssertionExpired},
		"exp as a list":          {object{"exp": []int64{now + 300}}, identity.ErrAssertionExpired},
		"exp as an object":       {object{"exp": object{}}, identity.ErrAssertionExpired},
		"exp 0":                  {object{"exp": 0}, identity.ErrAssertionExpired},
		"exp below 0":            {object{"exp": -1}, identity.ErrAssertionExpired},
		"exp in the year 9999":   {object{"exp": maxSeconds}, nil},
		"exp in the year 10000":  {object{"exp": maxSeconds + 1}, identity.ErrAssertionExpired},
		"exp huge":               {object{"exp": 1e300}, identity.ErrAssertionExpired},
		"exp hugely negative":    {object{"exp": -1e300}, identity.ErrAssertionExpired},
		"nbf ahead":              {object{"nbf": now + 60}, identity.ErrAssertionEarly},
		"nbf within leeway":      {object{"nbf": now + 25}, nil},
		"no nbf":                 {object{"nbf": nil}, nil},
		"nbf as a text":          {object{"nbf": "1"}, identity.ErrAssertionMalformed},
		"nbf huge":               {object{"nbf": 1e300}, identity.ErrAssertionMalformed},
		"nbf hugely negative":    {object{"nbf": -1e300}, identity.ErrAssertionMalformed},
		"iat ahead":              {object{"iat": now + 60}, identity.ErrAssertionEarly},
		"iat within leeway":      {object{"iat": now + 25}, nil},
		"no iat":                 {object{"iat": nil}, nil},
		"iat as a text":          {object{"iat": "1"}, identity.ErrAssertionMalformed},
		"expired and still good": {object{"exp": now - 31, "nbf": now + 60}, identity.ErrAssertionExpired},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == nil {
				accept(t, v, es256(test.change))
			} else {
				refuse(t, v, es256(test.change), test.want)
			}
		})
	}
	t.Run("numbers as they are written", func(t *testing.T) {
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
				refuse(t, v, token, want)
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
		refuse(t, v, es256(object{"iss": iss}), identity.ErrAssertionIssuer)
	}
	refuse(t, v, es256(object{"iss": nil, "ISS": issuer}), identity.ErrAssertionIssuer)
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
		refuse(t, v, es256(object{"aud": aud}), identity.ErrAssertionAudience)
	}
	refuse(t, v, es256(object{"aud": nil, "Aud": audience}), identity.ErrAssertionAudience)
}

// Every algorithm, with its own key and with those of all others.
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
				refuse(t, pinned, token, identity.ErrAssertionAlgorithm)

				// The same signature under another name.
				renamed := sign(signer.method, signer.key, object{"kid": signer.kid, "alg": otherName}, goodClaims(nil))
				want := identity.ErrAssertionKey
				if other.kid == signer.kid {
					want = identity.ErrAssertionSignature
				}
				refuse(t, all, renamed, want)
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
		refuse(t, v, head+"."+payload+".", identity.ErrAssertionAlgorithm)
		refuse(t, v, head+"."+payload+"."+parts(es256(nil))[2], identity.ErrAssertionAlgorithm)
	}
	refuse(t, v, encode(`{"kid":"k1"}`)+"."+payload+".", identity.ErrAssertionAlgorithm)
	refuse(t, v, encode(`{"ALG":"ES256","kid":"k1"}`)+"."+payload+".", identity.ErrAssertionAlgorithm)
	refuse(t, v, encode(`{"alg":"ES256","kid":"none"}`)+"."+payload, identity.ErrAssertionMalformed)
	server.wantHits(t, 0)
}

// The public keys as the secret of an HMAC, in every form that a library
// might take them in.
func TestI17HMAC(t *testing.T) {
	server := newKeyServer(t, jwk("k1", p256()), jwk("r1", rsaKey()))
	v := verifierOf(t, keysOf(t, Source{URL: server.URL}, nil))
	for name, secret := range map[string][]byte{
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
				for _, kid := range []string{"k1", "r1"} {
					refuse(t, v, sign(method, secret, object{"kid": kid}, goodClaims(nil)), identity.ErrAssertionAlgorithm)
					for _, alg := range []string{"RS256", "ES256"} {
						token := sign(method, secret, object{"kid": kid, "alg": alg}, goodClaims(nil))
						if _, err := v.Verify(t.Context(), token); err != identity.ErrAssertionSignature && err != identity.ErrAssertionKey {
							t.Fatalf("got %v", err)
						}
					}
				}
			}
		})
	}
}

// Keys that a token brings along are not looked at.
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
		if _, err := v.Verify(t.Context(), token); err != identity.ErrAssertionSignature && err != identity.ErrAssertionKey {
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
			refuse(t, v, p[0]+"."+other+"."+p[2], identity.ErrAssertionSignature)
			refuse(t, v, encode(string(decode(t, p[0]))+" ")+"."+p[1]+"."+p[2], identity.ErrAssertionSignature)
			refuse(t, v, p[0]+"."+p[1]+".", identity.ErrAssertionSignature)
			refuse(t, v, p[0]+"."+p[1]+"."+parts(tokens["ES256"])[2][:9], identity.ErrAssertionMalformed)

			// Every bit of the signature, and every character of the token.
			signature := decode(t, p[2])
			for i := range signature {
				signature[i] ^= 1 << (i % 8)
				refuse(t, v, p[0]+"."+p[1]+"."+encode(signature), identity.ErrAssertionSignature)
				signature[i] ^= 1 << (i % 8)
			}
			for i := range token {
				b := []byte(token)
				b[i]++
				if _, err := v.Verify(t.Context(), string(b)); err == nil {
					t.Fatalf("accepted with another character at %d", i)
				}
			}
		})
	}
}

// The same bytes, or the same numbers, written in another way.
func TestI17Malleability(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	token := es256(nil)
	p := parts(token)
	signature := decode(t, p[2])
	r, s := signature[:32], signature[32:]
	n := p256().Params().N.FillBytes(make([]byte, 32))
	zero := make([]byte, 32)
	sum := sha256.Sum256([]byte(p[0] + "." + p[1]))
	der, err := ecdsa.SignASN1(rand.Reader, p256(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"DER":              encode(der),
		"zeros":            encode(make([]byte, 64)),
		"r 0":              encode(append(zero[:32:32], s...)),
		"s 0":              encode(append(r[:32:32], zero...)),
		"r n":              encode(append(n[:32:32], s...)),
		"s n":              encode(append(r[:32:32], n...)),
		"a byte more":      encode(append(signature[:64:64], 0)),
		"a byte in front":  encode(append([]byte{0}, signature...)),
		"a byte less":      encode(signature[:63]),
		"33 bytes each":    encode(append(append([]byte{0}, r...), append([]byte{0}, s...)...)),
		"twice":            encode(append(signature[:64:64], signature...)),
		"swapped":          encode(append(s[:32:32], r...)),
		"of the other set": parts(sign(jwt.SigningMethodES256, p256b(), object{"kid": "k1"}, goodClaims(nil)))[2],
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, p[0]+"."+p[1]+"."+other, identity.ErrAssertionSignature) })
	}
	for name, other := range map[string]string{
		"padding":           token + "==",
		"padding within":    p[0] + "=." + p[1] + "." + p[2],
		"standard alphabet": p[0] + "." + p[1] + "." + base64.StdEncoding.EncodeToString(signature),
		"a line break":      token + "\n",
		"breaks within":     p[0] + "\r\n." + p[1] + "." + p[2],
		"break in the text": token[:20] + "\n" + token[20:],
		"a space":           p[0] + ". " + p[1] + "." + p[2],
		"trailing bits":     token[:len(token)-1] + string(nextCharacter(token[len(token)-1])),
		"a zero byte":       token + "\x00",
		"a letter like it":  strings.Replace(token, "e", "е", 1),
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, other, identity.ErrAssertionMalformed) })
	}
	// An ECDSA signature has a twin, which anybody can compute. It says the
	// same of the same text.
	twin := new(big.Int).Sub(p256().Params().N, new(big.Int).SetBytes(s))
	accept(t, v, p[0]+"."+p[1]+"."+encode(append(r[:32:32], twin.FillBytes(make([]byte, 32))...)))
}

func TestI17Key(t *testing.T) {
	small := testutil.NewRSAKey(1024)
	private := jose.JSONWebKey{KeyID: "k1", Key: p256()}
	for name, test := range map[string]struct {
		keys  []jose.JSONWebKey
		token string
		want  error
	}{
		"of another curve":       {[]jose.JSONWebKey{jwk("k1", p384())}, es256(nil), identity.ErrAssertionKey},
		"of another kind":        {[]jose.JSONWebKey{jwk("k1", rsaKey())}, es256(nil), identity.ErrAssertionKey},
		"another one":            {[]jose.JSONWebKey{jwk("k1", p256b())}, es256(nil), identity.ErrAssertionSignature},
		"another id":             {[]jose.JSONWebKey{jwk("k2", p256())}, es256(nil), identity.ErrAssertionKey},
		"id in another case":     {[]jose.JSONWebKey{jwk("K1", p256())}, es256(nil), identity.ErrAssertionKey},
		"no id":                  {[]jose.JSONWebKey{jwk("", p256())}, es256(nil), nil},
		"no id, another one":     {[]jose.JSONWebKey{jwk("", p256b())}, es256(nil), identity.ErrAssertionSignature},
		"two of one id":          {[]jose.JSONWebKey{jwk("k1", p256b()), jwk("k1", p256())}, es256(nil), nil},
		"two kinds of one id":    {[]jose.JSONWebKey{jwk("k1", rsaKey()), jwk("k1", p384()), jwk("k1", p256())}, es256(nil), nil},
		"for this algorithm":     {[]jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Algorithm: "ES256", Use: "sig"}}, es256(nil), nil},
		"for another algorithm":  {[]jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Algorithm: "ES384"}}, es256(nil), identity.ErrAssertionKey},
		"for PS256, signs RS256": {[]jose.JSONWebKey{{KeyID: "k1", Key: rsaKey().Public(), Algorithm: "PS256"}}, sign(jwt.SigningMethodRS256, rsaKey(), object{"kid": "k1"}, goodClaims(nil)), identity.ErrAssertionKey},
		"for encryption":         {[]jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Use: "enc"}, jwk("k2", p256b())}, es256(nil), identity.ErrAssertionKey},
		"for encryption alone":   {[]jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Use: "enc"}}, es256(nil), identity.ErrAssertionKey},
		"private":                {[]jose.JSONWebKey{private}, es256(nil), identity.ErrAssertionKey},
		"symmetric":              {[]jose.JSONWebKey{{KeyID: "k1", Key: []byte("0123456789abcdef0123456789abcdef")}}, es256(nil), identity.ErrAssertionKey},
		"too small":              {[]jose.JSONWebKey{jwk("k1", small)}, sign(jwt.SigningMethodRS256, small, object{"kid": "k1"}, goodClaims(nil)), identity.ErrAssertionKey},
		"none":                   {nil, es256(nil), identity.ErrKeysUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, test.keys...)
			if test.want == nil {
				accept(t, v, test.token)
			} else {
				refuse(t, v, test.token, test.want)
			}
		})
	}
}

// A token that does not say which is its key.
func TestI17NoKid(t *testing.T) {
	bare := sign(jwt.SigningMethodES256, p256(), nil, goodClaims(nil))
	accept(t, newVerifier(t, jwk("a", rsaKey()), jwk("b", p256b()), jwk("", p384()), jwk("c", p256())), bare)
	accept(t, newVerifier(t, jwk("", p256())), bare)
	accept(t, newVerifier(t, jwk("a", p256())), sign(jwt.SigningMethodES256, p256(), object{"kid": ""}, goodClaims(nil)))
	refuse(t, newVerifier(t, jwk("a", p256b())), bare, identity.ErrAssertionSignature)
	refuse(t, newVerifier(t, jwk("a", p384())), bare, identity.ErrAssertionKey)
	for _, kid := range []any{1, true, []string{"k1"}, object{"k1": 1}} {
		refuse(t, newVerifier(t, jwk("k1", p256())), sign(jwt.SigningMethodES256, p256(), object{"kid": kid}, goodClaims(nil)), identity.ErrAssertionMalformed)
	}

	// Only so many are tried; those that do not fit do not count.
	many := []jose.JSONWebKey{jwk("r", rsaKey())}
	for range maxTried - 1 {
		many = append(many, jwk("x", p256b()))
	}
	accept(t, newVerifier(t, append(many, jwk("last", p256()))...), bare)
	refuse(t, newVerifier(t, append(many, jwk("x", p256b()), jwk("last", p256()))...), bare, identity.ErrAssertionSignature)
}

func TestI17Malformed(t *testing.T) {
	server := newKeyServer(t, jwk("k1", p256()))
	v := verifierOf(t, keysOf(t, Source{URL: server.URL}, nil))
	good := es256(nil)
	p := parts(good)
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "one part": p[0], "two parts": p[0] + "." + p[1], "four parts": good + ".", "five": good + ".a.b",
		"JSON": `{"protected":"","payload":"","signature":""}`, "a list": good + ", " + good,
		"not base64":              "!!." + p[1] + "." + p[2],
		"payload not base64":      p[0] + ".!!." + p[2],
		"signature not base64":    p[0] + "." + p[1] + ".!!",
		"header no JSON":          encode("ES256") + "." + p[1] + "." + p[2],
		"header a list":           encode(`["ES256"]`) + "." + p[1] + "." + p[2],
		"header null":             encode(`null`) + "." + p[1] + "." + p[2],
		"header and more":         encode(`{"alg":"ES256","kid":"k1"}{}`) + "." + p[1] + "." + p[2],
		"alg twice":               signText(jwt.SigningMethodES256, p256(), `{"alg":"none","alg":"ES256","kid":"k1"}`, `{}`),
		"alg twice, one escaped":  signText(jwt.SigningMethodES256, p256(), `{"\u0061lg":"none","alg":"ES256","kid":"k1"}`, `{}`),
		"kid twice":               signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1","kid":"k1"}`, `{}`),
		"crit":                    sign(jwt.SigningMethodES256, p256(), object{"kid": "k1", "crit": []string{"exp"}, "exp": 1}, goodClaims(nil)),
		"crit empty":              sign(jwt.SigningMethodES256, p256(), object{"kid": "k1", "crit": []string{}}, goodClaims(nil)),
		"crit null":               signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1","crit":null}`, string(asJSON(goodClaims(nil)))),
		"not encoded (b64)":       sign(jwt.SigningMethodES256, p256(), object{"kid": "k1", "b64": false, "crit": []string{"b64"}}, goodClaims(nil)),
		"17 KiB":                  es256(object{"x": strings.Repeat("x", 17<<10*3/4)}),
		"17 KiB behind a scheme":  "Bearer " + es256(object{"x": strings.Repeat("x", 17<<10*3/4)}),
		"a megabyte":              strings.Repeat("a", 1<<20),
		"a megabyte of dots":      strings.Repeat(".", 1<<20),
		"header nests too deep":   encode(`{"alg":"ES256","kid":"k1","x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`) + "." + p[1] + "." + p[2],
		"a JWE of five parts":     strings.Repeat(encode(`{"alg":"dir","enc":"A128GCM"}`)+".", 4) + "x",
		"not text":                "\xff\xfe." + p[1] + "." + p[2],
		"payload twice":           p[0] + "." + p[1] + "." + p[1] + "." + p[2],
		"percent-encoded padding": good + "%3D",
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, token, identity.ErrAssertionMalformed) })
	}
	server.wantHits(t, 0) // none of them is worth asking for

	accept(t, v, es256(object{"x": strings.Repeat("x", 11<<10)}))
	for name, payload := range map[string]string{
		"empty": "", "no JSON": "email", "null": "null", "a list": `["` + audience + `"]`, "a number": "1",
		"exp twice":      `{"iss":"` + issuer + `","aud":"` + audience + `","exp":1,"exp":9999999999}`,
		"email twice":    `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999,"email":"a@x","email":"b@x"}`,
		"nested twice":   `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999,"u":{"a":1,"a":2}}`,
		"more than one":  `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999}{}`,
		"nests too deep": `{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		t.Run("payload "+name, func(t *testing.T) {
			refuse(t, v, signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`, payload), identity.ErrAssertionMalformed)
		})
	}
}

func TestI17KeyServerDown(t *testing.T) {
	var told reports
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, &told)
	v := verifierOf(t, keys)
	s.fail(500)
	refuse(t, v, es256(nil), identity.ErrKeysUnavailable)
	if got := told.only(t); got != "fetch keys: status 500" {
		t.Errorf("reported %q", got)
	}
	// Nobody waits, and the server is left alone, for a while.
	s.serve(setOf(jwk("k1", p256())))
	keys.set.stop()
	refuse(t, v, es256(nil), identity.ErrKeysUnavailable)
	s.wantHits(t, 1)
	keys.set.resume(MinInterval)
	accept(t, v, es256(nil))
	s.wantHits(t, 2)

	// Down for days: the known keys keep working, others do not begin to.
	s.fail(500)
	for range 3 {
		keys.set.older(24 * time.Hour)
		accept(t, v, es256(nil))
	}
	s.wantHits(t, 5)
	keys.set.older(MinInterval)
	refuse(t, v, sign(jwt.SigningMethodES256, p256b(), object{"kid": "k2"}, goodClaims(nil)), identity.ErrAssertionKey)
	s.wantHits(t, 6)
}

func TestI17NobodyListens(t *testing.T) {
	var told reports
	v := verifierOf(t, keysOf(t, Source{URL: "http://" + testutil.FreeAddress(t) + "/jwks?key=canary"}, &told))
	refuse(t, v, es256(nil), identity.ErrKeysUnavailable)
	if got := told.only(t); !strings.HasPrefix(got, "fetch keys: dial tcp 127.0.0.1:") || strings.Contains(got, "canary") {
		t.Errorf("reported %q", got)
	}
}
