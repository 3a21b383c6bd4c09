package assertion

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// jwkWith returns a JWK with more members. A null removes one.
func jwkWith(t testing.TB, key jose.JSONWebKey, members string) string {
	t.Helper()
	var all, more object
	if json.Unmarshal(asJSON(key), &all) != nil || json.Unmarshal([]byte(members), &more) != nil {
		t.Fatalf("%s is not JSON", members)
	}
	for name, value := range more {
		all[name] = value
	}
	return string(asJSON(all))
}

// TestB1_MembersOfAKey checks that a certificate beside a key never makes it unusable.
func TestB1_MembersOfAKey(t *testing.T) {
	const sha1Hex = "3c0f6d2ab5a4b1c3f0e1d2c3b4a5968778695a4b"
	for _, more := range []string{
		`{"x5t":"AA=="}`, `{"x5t":"` + sha1Hex + `"}`, `{"x5t":"` + strings.ToUpper(sha1Hex) + `"}`,
		`{"x5t":"3C:0F:6D:2A"}`, `{"x5t":"PA9tKrWksbPw4dLDtKWWh3hpWks="}`, `{"x5t":1}`, `{"x5t":null}`,
		`{"x5t#S256":"AA"}`, `{"x5t#S256":"not base64!"}`, `{"x5t#S256":["x"]}`,
		`{"x5c":[""]}`, `{"x5c":["AAAA"]}`, `{"x5c":"AAAA"}`, `{"x5c":[]}`, `{"x5c":[1]}`, `{"x5c":null}`,
		`{"x5u":"::"}`, `{"x5u":7}`, `{"x5u":"https://evil.example/cert.pem"}`,
		`{"x5t":"AA==","x5t#S256":"AA","x5c":["AAAA"],"x5u":"%zz"}`,
		`{"p":1,"q":[],"dp":"!","oth":[],"ext":true,"nbf":1,"issuer":"x","X5C":1,"KTY":"oct","D":"x"}`,
		`{"use":null,"alg":null,"key_ops":null,"d":null,"k":null}`, `{"use":"sig","alg":"ES256"}`,
		`{"key_ops":["verify"]}`, `{"key_ops":["sign","verify"]}`, `{"key_ops":[]}`,
	} {
		t.Run(more, func(t *testing.T) {
			var reported reports
			s := newKeyServer(t)
			s.serve(`{"keys":[` + jwkWith(t, jwk("k1", p256()), more) + `]}`)
			keys, err := NewKeys(Source{URL: s.URL}, Log{FetchFailed: reported.add, KeysLeftOut: reported.add})
			if err != nil {
				t.Fatal(err)
			}
			accept(t, verifierOf(t, keys), es256(nil))
			if got := reported.All(); len(got) > 0 {
				t.Errorf("reported %q", got)
			}
		})
	}
}

// TestB1_LeftOutKeys checks that the log has the reason once.
func TestB1_LeftOutKeys(t *testing.T) {
	bad := func(more string) string { return jwkWith(t, jwk("bad", p256()), more) }
	for _, test := range []struct{ key, want string }{
		{bad(`{"d":"AAAA"}`), `key "bad": ` + errSecret.Error()},
		{`{"kty":"oct","kid":"bad","k":"AAAA"}`, `key "bad": ` + errSecret.Error()},
		{bad(`{"use":"tls"}`), `key "bad": ` + errUse.Error()},
		{bad(`{"key_ops":["sign"]}`), `key "bad": ` + errKeyOps.Error()},
		{bad(`{"key_ops":"verify"}`), `key "bad": ` + errKeyOps.Error()},
		{bad(`{"alg":"ES384"}`), `key "bad": ` + errKeyAlgorithm.Error()},
		{bad(`{"alg":"ES256K"}`), `key "bad": ` + errKeyAlgorithm.Error()},
		{bad(`{"alg":"Ed25519"}`), `key "bad": ` + errKeyAlgorithm.Error()},
		{bad(`{"alg":1}`), `key "bad": ` + errMalformed.Error()},
		{bad(`{"kid":1}`), "key number 1: " + errMalformed.Error()},
		{bad(`{"x":"AAAA"}`), `key "bad": ` + errMalformed.Error()},
		{bad(`{"kty":"XX"}`), `key "bad": ` + errMalformed.Error()},
		{`{"kty":"RSA","kid":"bad","n":"` + strings.Repeat("_", 171) + `","e":"AQAB"}`, `key "bad": an RSA key of 1024 bits is not supported (2048 to 8192)`},
		{`1`, "key number 1: " + errNotJWK.Error()},
		{`null`, "key number 1: " + errNotJWK.Error()},
		{bad(`{"use":"enc"}`), ""}, // published on purpose
		{`{"kty":"OKP","crv":"X25519","x":"AAAA","use":"enc"}`, ""},
		{strings.Repeat("1,", 9) + "1", "key number 1: it is not a JSON object; key number 2: it is not a JSON object; key number 3: it is not a JSON object; key number 4: it is not a JSON object; key number 5: it is not a JSON object; and 5 more"},
		{bad(`{"kid":"` + strings.Repeat("x", 100) + `","use":"tls"}`), `key "` + strings.Repeat("x", 64) + `": ` + errUse.Error()},
	} {
		t.Run(test.key, func(t *testing.T) {
			var failed, leftOut reports
			s := newKeyServer(t)
			s.serve(`{"keys":[` + test.key + `,` + string(asJSON(jwk("k1", p256()))) + `]}`)
			keys, err := NewKeys(Source{URL: s.URL}, Log{FetchFailed: failed.add, KeysLeftOut: leftOut.add})
			if err != nil {
				t.Fatal(err)
			}
			v := verifierOf(t, keys)
			for range 3 {
				keys.set.older(maxIdle + time.Second)
				accept(t, v, es256(nil))
			}
			s.wantHits(t, 3)
			if got := strings.Join(leftOut.All(), "\n"); got != test.want || len(failed.All()) > 0 {
				t.Errorf("reported %q and %q, want %q", got, failed.All(), test.want)
			}
			s.serve(`{"keys":[{"kty":"new"},` + string(asJSON(jwk("k1", p256()))) + `]}`)
			keys.set.older(maxIdle + time.Second)
			accept(t, v, es256(nil))
			if got := leftOut.All(); got[len(got)-1] != "key number 1: "+errMalformed.Error() {
				t.Errorf("another reason was not reported: %q", got)
			}
		})
	}
}

// TestB3_Ed25519 uses the name of RFC 9864 in the token, in the key set and in the
// options.
func TestB3_Ed25519(t *testing.T) {
	for _, tokenAlg := range []string{"EdDSA", "Ed25519"} {
		for _, keyAlg := range []string{"", "EdDSA", "Ed25519"} {
			for _, option := range [][]string{nil, {"EdDSA"}, {"Ed25519"}} {
				t.Run(fmt.Sprint(tokenAlg, keyAlg, option), func(t *testing.T) {
					key := jose.JSONWebKey{KeyID: "e1", Key: edKey().Public(), Algorithm: keyAlg}
					keys := keysOf(t, Source{URL: newKeyServer(t, key).URL}, nil)
					v := verifierOf(t, keys, func(c *Config) { c.Algorithms = option })
					accept(t, v, sign(jwt.SigningMethodEdDSA, edKey(), object{"kid": "e1", "alg": tokenAlg}, goodClaims(nil)))
				})
			}
		}
	}
	v := newVerifier(t, jwk("e1", edKey()), jwk("k1", p256()))
	reject(t, v, sign(jwt.SigningMethodEdDSA, edKey(), object{"kid": "k1", "alg": "Ed25519"}, goodClaims(nil)), identity.ErrAssertionKey)
	for _, alg := range []string{"Ed448", "ed25519", "EDDSA"} {
		reject(t, v, sign(jwt.SigningMethodEdDSA, edKey(), object{"kid": "e1", "alg": alg}, goodClaims(nil)), identity.ErrAssertionAlgorithm)
	}
	reject(t, verifierOf(t, keysOf(t, Source{URL: newKeyServer(t, jwk("e1", edKey())).URL}, nil), func(c *Config) { c.Algorithms = []string{"ES256"} }),
		sign(jwt.SigningMethodEdDSA, edKey(), object{"kid": "e1", "alg": "Ed25519"}, goodClaims(nil)), identity.ErrAssertionAlgorithm)
}

// TestB4_NullTimes checks that null is the same as absent, except for exp.
func TestB4_NullTimes(t *testing.T) {
	v := newVerifier(t, jwk("k1", p256()))
	aws, _ := awsVerifier(t)
	far := fmt.Sprint(time.Now().Unix() + 300)
	for members, want := range map[string]error{
		`"nbf":null,"iat":null,"exp":` + far: nil,
		`"nbf":null,"exp":` + far:            nil,
		`"iat":null,"exp":` + far:            nil,
		`"nbf":false,"exp":` + far:           identity.ErrAssertionMalformed,
		`"iat":"","exp":` + far:              identity.ErrAssertionMalformed,
		`"nbf":null,"exp":null`:              identity.ErrAssertionExpired,
	} {
		payload := `{"iss":"` + issuer + `","aud":"` + audience + `","email":"ada@example.org",` + members + `}`
		plain := signText(jwt.SigningMethodES256, p256(), `{"alg":"ES256","kid":"k1"}`, payload)
		alb := signWith(encodePadded[[]byte], jwt.SigningMethodES256, p256(), asJSON(changed(object{"alg": "ES256"}, awsHeader(nil))), []byte(payload))
		if want == nil {
			accept(t, v, plain)
			accept(t, aws, alb)
		} else {
			reject(t, v, plain, want)
			reject(t, aws, alb, want)
		}
	}
}

// TestB6_Encodings checks that other values of Content-Encoding, which object stores
// send, are ignored.
func TestB6_Encodings(t *testing.T) {
	for _, encoding := range []string{"identity", "utf-8", "UTF-8, aws-chunked", ""} {
		s := newKeyServer(t)
		s.respond(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Encoding"] = []string{encoding}
			_, _ = w.Write([]byte(setOf(jwk("k1", p256()))))
		})
		accept(t, verifierOf(t, keysOf(t, Source{URL: s.URL}, nil)), es256(nil))
	}
}

// TestK5_EmptySet checks that an empty set is accepted if it is served twice in a row.
func TestK5_EmptySet(t *testing.T) {
	const empty = `{"keys":[]}`
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	accept(t, v, es256(nil))
	serve := func(body string) {
		s.serve(body)
		keys.set.older(maxIdle + time.Second)
	}
	for range 3 { // never twice in a row
		serve(empty)
		accept(t, v, es256(nil))
		serve("")
		accept(t, v, es256(nil))
	}
	serve(empty)
	accept(t, v, es256(nil))
	serve(setOf(jwk("k1", p256())))
	accept(t, v, es256(nil))
	serve(empty)
	accept(t, v, es256(nil))
	serve(empty)
	reject(t, v, es256(nil), identity.ErrAssertionKey)
	serve(setOf(jwk("k1", p256())))
	accept(t, v, es256(nil))

	// The same before there are any keys.
	s = newKeyServer(t)
	s.serve(empty)
	keys = keysOf(t, Source{URL: s.URL}, nil)
	v = verifierOf(t, keys)
	reject(t, v, es256(nil), identity.ErrKeysUnavailable)
	keys.set.older(MinInterval)
	reject(t, v, es256(nil), identity.ErrAssertionKey)
}
