package assertion

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestI17Malleability verifies other encodings of the same bytes or numbers.
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
		t.Run(name, func(t *testing.T) { reject(t, v, p[0]+"."+p[1]+"."+other, identity.ErrAssertionSignature) })
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
		t.Run(name, func(t *testing.T) { reject(t, v, other, identity.ErrAssertionMalformed) })
	}
	// Every ECDSA signature has a second valid form, which can be computed without the
	// key. It signs the same text.
	twin := new(big.Int).Sub(p256().Params().N, new(big.Int).SetBytes(s))
	accept(t, v, p[0]+"."+p[1]+"."+encode(append(r[:32:32], twin.FillBytes(make([]byte, 32))...)))
}

func TestI17Key(t *testing.T) {
	small := testutil.NewRSAKey(1024)
	private := jose.JSONWebKey{KeyID: "k1", Key: p256()}
	for _, test := range []struct {
		name  string
		keys  []jose.JSONWebKey
		token string
		want  error
	}{
		{"of another curve", []jose.JSONWebKey{jwk("k1", p384())}, es256(nil), identity.ErrAssertionKey},
		{"of another kind", []jose.JSONWebKey{jwk("k1", rsaKey())}, es256(nil), identity.ErrAssertionKey},
		{"another one", []jose.JSONWebKey{jwk("k1", p256b())}, es256(nil), identity.ErrAssertionSignature},
		{"another id", []jose.JSONWebKey{jwk("k2", p256())}, es256(nil), identity.ErrAssertionKey},
		{"id in another case", []jose.JSONWebKey{jwk("K1", p256())}, es256(nil), identity.ErrAssertionKey},
		{"no id", []jose.JSONWebKey{jwk("", p256())}, es256(nil), nil},
		{"no id, another one", []jose.JSONWebKey{jwk("", p256b())}, es256(nil), identity.ErrAssertionSignature},
		{"two of one id", []jose.JSONWebKey{jwk("k1", p256b()), jwk("k1", p256())}, es256(nil), nil},
		{"two kinds of one id", []jose.JSONWebKey{jwk("k1", rsaKey()), jwk("k1", p384()), jwk("k1", p256())}, es256(nil), nil},
		{"for this algorithm", []jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Algorithm: "ES256", Use: "sig"}}, es256(nil), nil},
		{"for another algorithm", []jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Algorithm: "ES384"}}, es256(nil), identity.ErrKeysUnavailable},
		{"for PS256, signs RS256", []jose.JSONWebKey{{KeyID: "k1", Key: rsaKey().Public(), Algorithm: "PS256"}}, sign(jwt.SigningMethodRS256, rsaKey(), object{"kid": "k1"}, goodClaims(nil)), identity.ErrAssertionKey},
		{"for encryption", []jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Use: "enc"}, jwk("k2", p256b())}, es256(nil), identity.ErrAssertionKey},
		{"for encryption alone", []jose.JSONWebKey{{KeyID: "k1", Key: p256().Public(), Use: "enc"}}, es256(nil), identity.ErrKeysUnavailable},
		{"private", []jose.JSONWebKey{private}, es256(nil), identity.ErrKeysUnavailable},
		{"symmetric", []jose.JSONWebKey{{KeyID: "k1", Key: []byte("0123456789abcdef0123456789abcdef")}}, es256(nil), identity.ErrKeysUnavailable},
		{"too small", []jose.JSONWebKey{jwk("k1", small)}, sign(jwt.SigningMethodRS256, small, object{"kid": "k1"}, goodClaims(nil)), identity.ErrKeysUnavailable},
		{"none", nil, es256(nil), identity.ErrKeysUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVerifier(t, test.keys...)
			if test.want == nil {
				accept(t, v, test.token)
			} else {
				reject(t, v, test.token, test.want)
			}
		})
	}
}

// TestI17NoKid verifies a token without a key id.
func TestI17NoKid(t *testing.T) {
	bare := sign(jwt.SigningMethodES256, p256(), nil, goodClaims(nil))
	accept(t, newVerifier(t, jwk("a", rsaKey()), jwk("b", p256b()), jwk("", p384()), jwk("c", p256())), bare)
	accept(t, newVerifier(t, jwk("", p256())), bare)
	for _, kid := range []any{"", nil} {
		accept(t, newVerifier(t, jwk("a", p256())), sign(jwt.SigningMethodES256, p256(), object{"kid": kid}, goodClaims(nil)))
	}
	reject(t, newVerifier(t, jwk("a", p256b())), bare, identity.ErrAssertionSignature)
	reject(t, newVerifier(t, jwk("a", p384())), bare, identity.ErrAssertionKey)
	for _, kid := range []any{1, true, []string{"k1"}, object{"k1": 1}} {
		reject(t, newVerifier(t, jwk("k1", p256())), sign(jwt.SigningMethodES256, p256(), object{"kid": kid}, goodClaims(nil)), identity.ErrAssertionMalformed)
	}

	// The number of tried keys is limited. Keys that do not fit do not count.
	many := []jose.JSONWebKey{jwk("r", rsaKey())}
	for range maxAttempts - 1 {
		many = append(many, jwk("x", p256b()))
	}
	accept(t, newVerifier(t, append(many, jwk("last", p256()))...), bare)
	reject(t, newVerifier(t, append(many, jwk("x", p256b()), jwk("last", p256()))...), bare, identity.ErrAssertionSignature)
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
		t.Run(name, func(t *testing.T) { reject(t, v, token, identity.ErrAssertionMalformed) })
	}
	server.wantHits(t, 0) // none of them causes a fetch

	accept(t, v, es256(object{"x": strings.Repeat("x", 11<<10)}))
	for name, payload := range map[string]string{
		"empty": "", "no JSON": "email", "null": "null", "a list": `["` + audience + `"]`, "a number": "1",
		"exp twice":      `{"iss":"` + issuer + `","aud":"` + audience + `","exp":1,"exp":9999999999}`,
		"email twice":    `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999,"email":"a@x","email":"b@x"}`,
		"nested twice":   `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999,"u":{"a":1,"a":2}}`,
		"more than one":  `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999}{}`,
		"not UTF-8":      `{"iss":"` + issuer + `","aud":"` + audience + `","exp":9999999999,"sub":"u` + "\xff" + `"}`,
		"nests too deep": `{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		t.Run("payload "+name, func(t *testing.T) {
			reject(t, v, signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`, payload), identity.ErrAssertionMalformed)
		})
	}
}
