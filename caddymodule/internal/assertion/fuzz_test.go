package assertion

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// FuzzVerify replaces parts of valid tokens, and whole tokens, with arbitrary text. An
// accepted token must have the signed content.
func FuzzVerify(f *testing.F) {
	// Longer than any fuzzing run.
	far := object{"exp": time.Now().Add(365 * 24 * time.Hour).Unix()}
	plain := verifierOf(f, keysOf(f, Source{URL: newKeyServer(f, jwk("k1", p256()), jwk("r1", rsaKey()), jwk("e1", edKey())).URL}, nil))
	aws, _ := awsVerifier(f)
	tokens := []string{
		es256(far),
		sign(jwt.SigningMethodRS256, rsaKey(), object{"kid": "r1"}, goodClaims(far)),
		sign(jwt.SigningMethodEdDSA, edKey(), nil, goodClaims(far)),
		awsToken(far, far),
	}
	signed := make(map[string]object)
	for i, token := range tokens {
		v := plain
		if i == len(tokens)-1 {
			v = aws
		}
		doc, err := v.Verify(f.Context(), token, "")
		if err != nil {
			f.Fatal(err)
		}
		signed[parts(token)[0]+"."+parts(token)[1]] = doc.Map()
		f.Add(i, 0, len(token), token)
		for _, with := range []string{"", "=", ".", "\n", "A", `{"alg":"none"}`, "eyJhbGciOiJub25lIn0", "Bearer "} {
			for _, at := range []int{0, len(parts(token)[0]), len(parts(token)[0]) + 1, len(token) - 90, len(token)} {
				f.Add(i, at, 0, with)
				f.Add(i, at, 4, with)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which, at, remove int, with string) {
		token := tokens[index(which, len(tokens))]
		at = index(at, len(token)+1)
		token = token[:at] + with + token[at+index(remove, len(token)-at+1):]
		for _, v := range []*Verifier{plain, aws} {
			doc, err := v.Verify(t.Context(), token, "")
			if err != nil {
				var rejection *identity.Rejection
				if !errors.As(err, &rejection) || doc.Map() != nil {
					t.Fatalf("%q: got %v, %v", token, doc, err)
				}
				continue
			}
			p := parts(trimScheme(token))
			original, ok := signed[p[0]+"."+p[1]]
			if !ok || len(p) != 3 {
				t.Fatalf("accepted an unsigned token: %q", token)
			}
			if !maps.EqualFunc(original, doc.Map(), func(a, b any) bool { return a == b }) {
				t.Fatalf("signed %v, read %v", original, doc.Map())
			}
		}
	})
}

// index maps i to a number between 0 and n-1.
func index(i, n int) int {
	return int(uint(i) % uint(n))
}

// FuzzKeySet parses arbitrary input as keys.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(setOf(jwk("k1", p256()), jwk("r1", rsaKey()), jwk("e1", edKey()))))
	f.Add([]byte(pemOf(p384())))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB","d":"AA","x5c":["AA"]}]}`))
	t := token{algorithm: "ES256", signature: make([]byte, 64)}
	f.Fuzz(func(tt *testing.T, b []byte) {
		for _, parse := range []func([]byte) (*keySet, error){parseSet, func(b []byte) (*keySet, error) { return parsePEM(b, "k") }} {
			set, err := parse(b)
			if set != nil && (err == errNoUsableKey) != (len(set.keys) == 0) || set == nil && err == nil {
				tt.Fatalf("got %v, %v", set, err)
			}
			if set == nil {
				continue
			}
			for name := range algorithms {
				t.algorithm = name
				if set.verify(t) == nil {
					tt.Fatalf("a signature of zeros is right for %s", name)
				}
			}
		}
	})
}

// FuzzDiscovery parses arbitrary input as a discovery document. A URL of keys comes only
// from a document of the right issuer, and keys may be fetched from it.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{
		`{"issuer":"https://a.example","jwks_uri":"https://a.example/keys"}`,
		`{"issuer":"https://a.example/","jwks_uri":"http://localhost/keys"}`,
		`{"issuer":"https://a.example","issuer":"x","jwks_uri":"http://b.example/"}`,
		`{"issuer":1,"jwks_uri":"http://[::1]/"}`, `[]`, `{"keys":[]}`,
	} {
		f.Add([]byte(s), "https://a.example")
	}
	f.Fuzz(func(t *testing.T, b []byte, issuer string) {
		uri, err := parseDiscovery(b, issuer)
		if err != nil {
			if uri != "" {
				t.Fatalf("got %q and %v", uri, err)
			}
			return
		}
		if doc, err := claims.Parse(b); err != nil || doc.Map()["issuer"] != issuer || doc.Map()["jwks_uri"] != uri || CheckURL(uri) != nil {
			t.Fatalf("accepted %q", b)
		}
	})
}
