package caddymodule_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The following keys are shared by all layers, because RSA keys take long to generate.
var (
	layerRSA  = sync.OnceValue(func() *rsa.PrivateKey { return testutil.NewRSAKey(2048) })
	otherRSA  = sync.OnceValue(func() *rsa.PrivateKey { return testutil.NewRSAKey(2048) })
	layerP256 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
	otherP256 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
	layerP384 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P384()) })
	otherP384 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P384()) })
)

// signingKeys returns the method of an algorithm, the key of the layers for it, and a key
// of the same kind that no layer has.
func signingKeys(algorithm string) (method jwt.SigningMethod, key, otherKey crypto.Signer) {
	switch algorithm[:2] + algorithm[len(algorithm)-3:] {
	case "ES256":
		key, otherKey = layerP256(), otherP256()
	case "ES384":
		key, otherKey = layerP384(), otherP384()
	default:
		key, otherKey = layerRSA(), otherRSA()
	}
	return jwt.GetSigningMethod(algorithm), key, otherKey
}

// jwk returns a public key in the format of RFC 7518, section 6.
func jwk(kid string, key crypto.Signer) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		return map[string]any{"kty": "EC", "use": "sig", "kid": kid, "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "use": "sig", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	}
	panic("no such key")
}

// keyServer serves the public keys of layers: /<layer> is a key set,
// /<layer>/<kid> one key in PEM form, and
// /<layer>/.well-known/openid-configuration a discovery document.
type keyServer struct {
	*httptest.Server
	mu       sync.Mutex
	keys     map[string]map[string]crypto.Signer // layer → key ID → key
	down     bool
	delay    time.Duration
	requests map[string]int // by path
}

func newKeyServer(t testing.TB) *keyServer {
	k := &keyServer{keys: make(map[string]map[string]crypto.Signer), requests: make(map[string]int)}
	k.Server = httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(func() {
		k.CloseClientConnections()
		k.Close()
	})
	return k
}

func (k *keyServer) serve(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.requests[r.URL.Path]++
	layer, kid, one := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	keys, down, delay := k.keys[layer], k.down, k.delay
	k.mu.Unlock()
	time.Sleep(delay)
	switch {
	case down:
		http.Error(w, "CANARY of the key server", http.StatusBadGateway)
	case r.Method != http.MethodGet || len(r.Header["Cookie"])+len(r.Header["Authorization"]) > 0:
		http.Error(w, "unexpected path", http.StatusTeapot)
	case kid == ".well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": k.URL + "/" + layer, "jwks_uri": k.URL + "/" + layer})
	case one && keys[kid] == nil:
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden) // S3's response for a missing object
	case one:
		_, _ = w.Write(testutil.PublicPEM(keys[kid]))
	default:
		set := []any{map[string]any{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}} // not a public key; it must be ignored
		for kid, key := range keys {
			set = append(set, jwk(kid, key))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	}
}

// setKeys sets the keys of a layer.
func (k *keyServer) setKeys(layer string, keys map[string]crypto.Signer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[layer] = keys
}

// setDown sets whether the server is down.
func (k *keyServer) setDown(down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = down
}

// setDelay sets how long the server takes.
func (k *keyServer) setDelay(delay time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay = delay
}

// requestCount returns the number of requests for a path.
func (k *keyServer) requestCount(path string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests[path]
}

// assertionLayer describes a layer that sends signed assertions.
type assertionLayer struct {
	name             string
	header, prefix   string // the header with the assertion, and the text before it
	algorithm        string
	issuer, audience string
	// identity is the option, in which KEYS stands for the URL of the keys.
	identity string
	// payload returns the claims about the user with this address.
	payload func(email string) map[string]any
	// emailAt is the member with the address; empty: email. userAt is the member with
	// the object about the user; empty: the payload itself.
	emailAt, userAt string
	first, last     string // of the user; empty if the layer has no names
	aws             bool
	// plain lists further headers of the layer, which must not be read.
	plain []string
}

// oidcClaims returns the standard claims of a user named Zoë Ångström.
func oidcClaims(email string) map[string]any {
	return map[string]any{"email": email, "sub": "id-1", "name": "Zoë Ångström", "given_name": "Zoë", "family_name": "Ångström", "email_verified": true}
}

// assertionLayers holds the layers with presets, and layers with other formats.
var assertionLayers = []assertionLayer{
	{
		name: "google_iap", header: "X-Goog-Iap-Jwt-Assertion", algorithm: "ES256",
		issuer: "https://cloud.google.com/iap", audience: "/projects/1/apps/clinic",
		identity: "identity google_iap {\nverify {\njwks KEYS\naudience /projects/1/apps/clinic /projects/1/apps/other\n}\n}",
		payload: func(email string) map[string]any {
			return map[string]any{"email": email, "sub": "accounts.google.com:1", "hd": "x.example"}
		},
		plain: []string{"X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id"},
	},
	{
		name: "cloudflare_access", header: "Cf-Access-Jwt-Assertion", algorithm: "RS256",
		issuer: "https://clinic.cloudflareaccess.com", audience: "0123456789abcdef",
		identity: "identity cloudflare_access {\nverify {\njwks KEYS\nissuer https://clinic.cloudflareaccess.com\naudience 0123456789abcdef\n}\n}",
		payload: func(email string) map[string]any {
			return map[string]any{"email": email, "sub": "id-1", "type": "app", "country": "GB"}
		},
		plain: []string{"Cf-Access-Authenticated-User-Email"},
	},
	{
		name: "pomerium", header: "X-Pomerium-Jwt-Assertion", algorithm: "ES256",
		issuer: "clinic.example", audience: "clinic.example",
		identity: "identity pomerium {\nverify {\njwks KEYS\naudience clinic.example\n}\n}",
		payload:  oidcClaims, first: "Zoë", last: "Ångström",
		plain: []string{"X-Pomerium-Claim-Email", "X-Pomerium-Claim-Sub", "X-Pomerium-Claim-Name"},
	},
	{
		name: "teleport", header: "Teleport-Jwt-Assertion", algorithm: "RS256",
		issuer: "clinic", audience: "https://app.clinic.example",
		identity: "identity teleport {\nverify {\njwks KEYS\nissuer clinic\naudience https://app.clinic.example\n}\n}",
		payload: func(email string) map[string]any {
			return map[string]any{"username": email, "sub": email, "roles": []string{"access"}, "traits": map[string]any{}}
		},
		emailAt: "username",
	},
	{
		name: "aws_alb", header: "X-Amzn-Oidc-Data", algorithm: "ES256",
		issuer: "https://login.example", audience: "client-1",
		identity: "identity aws_alb {\nverify {\njwks KEYS\nissuer https://login.example\naudience client-1\nsigner " + balancer + "\n}\n}",
		payload:  oidcClaims, first: "Zoë", last: "Ångström", aws: true,
		plain: []string{"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken"},
	},
	{
		name: "custom", header: "Authorization", prefix: "Bearer ", algorithm: "ES384",
		issuer: "https://login.example/", audience: "clinic",
		identity: "identity {\nemail Authorization email\nname Authorization name\nverify {\njwks KEYS\nissuer https://login.example/\naudience clinic\n}\n}",
		payload:  oidcClaims, first: "Zoë", last: "Ångström",
	},
	{
		name: "path", header: "X-Token", algorithm: "PS256",
		issuer: "https://login.example/", audience: "clinic",
		identity: "identity {\nemail X-Token user.email\nuser_id X-Token user.id\nfirst_name X-Token user.names.first\nlast_name X-Token user.names.last\nverify {\njwks KEYS\nissuer https://login.example/\naudience clinic\n}\n}",
		payload: func(email string) map[string]any {
			return map[string]any{"email": "mallory@evil.example", "user": map[string]any{"email": email, "id": 7, "names": map[string]any{"first": "Zoë", "last": "Ångström"}, "email_verified": true}}
		},
		first: "Zoë", last: "Ångström", userAt: "user",
	},
	{
		name: "escaped", header: "X-Token", algorithm: "RS512",
		issuer: "https://login.example/", audience: "clinic-2",
		identity: "identity {\nemail X-Token https://clinic\\.example/email\nname X-Token https://clinic\\.example/name\nverify {\njwks KEYS\nissuer https://login.example/\naudience clinic-2\n}\n}",
		payload: func(email string) map[string]any {
			return map[string]any{"https://clinic.example/email": email, "https://clinic.example/name": "Zoë Ångström", "email": "mallory@evil.example"}
		},
		emailAt: "https://clinic.example/email", first: "Zoë", last: "Ångström",
	},
}

// path returns the path of the endpoint for users of the layer.
func (l assertionLayer) path() string { return "/" + l.name }

// keysPath returns the path of a key of the layer at the key server.
func (l assertionLayer) keysPath(kid string) string {
	if l.aws {
		return "/" + l.name + "/" + kid
	}
	return "/" + l.name
}

// directive returns a huma_token at the path of the layer.
func (l assertionLayer) directive(k *keyServer, more string) string {
	return "huma_token " + l.path() + " {\nHUMA\n" + strings.ReplaceAll(l.identity, "KEYS", k.URL+"/"+l.name) + "\n" + more + "\n}\n"
}

// sendToken adds a token to a request.
func (l assertionLayer) sendToken(token string) func(*http.Request) {
	return header(l.header, l.prefix+token)
}

// signIn adds a valid assertion to a request.
func (l assertionLayer) signIn(email string) func(*http.Request) {
	return l.sendToken(l.token(email).String())
}

// assertion is an unsigned assertion.
type assertion struct {
	header, payload map[string]any
	method          jwt.SigningMethod
	key             any
	otherKey        crypto.Signer
	padded          bool
}

// kidOf is the ID of the key that layers sign with, and nextKid of their next key. The
// IDs of AWS are UUIDs.
const (
	kidOf   = "0d9a2c56-1f1c-4a7e-8e0f-2f6a3c1f9b11"
	nextKid = "5b1f0c1e-7f9a-4d55-9c1a-1d0c5f0e2a22"
)

// token returns an assertion for a user.
func (l assertionLayer) token(email string) *assertion {
	method, key, otherKey := signingKeys(l.algorithm)
	t := &assertion{
		header:  map[string]any{"alg": l.algorithm, "kid": kidOf, "typ": "JWT"},
		payload: l.payload(email),
		method:  method, key: key, otherKey: otherKey, padded: l.aws,
	}
	now := time.Now()
	if l.aws {
		t.header["iss"], t.header["client"], t.header["signer"] = l.issuer, l.audience, balancer
		t.header["exp"] = now.Add(2 * time.Minute).Unix()
		t.payload["iss"], t.payload["exp"] = l.issuer, now.Add(2*time.Minute).Unix()
		return t
	}
	t.payload["iss"], t.payload["aud"] = l.issuer, l.audience
	t.payload["iat"], t.payload["exp"] = now.Unix(), now.Add(5*time.Minute).Unix()
	return t
}

// claims returns the object in which the layer writes issuer, audience and times.
func (l assertionLayer) claims(t *assertion) map[string]any {
	if l.aws {
		return t.header
	}
	return t.payload
}

// user returns the object that contains the address.
func (l assertionLayer) user(t *assertion) map[string]any {
	if l.userAt == "" {
		return t.payload
	}
	return t.payload[l.userAt].(map[string]any)
}

// withAddress replaces the address in t.
func (l assertionLayer) withAddress(t *assertion, value any) *assertion {
	at := l.emailAt
	if at == "" {
		at = "email"
	}
	l.user(t)[at] = value
	if at == "username" {
		t.payload["sub"] = value
	}
	return t
}

// parts returns the three encoded parts of the token.
func (t *assertion) parts() (header, payload, signature string) {
	encoding := base64.RawURLEncoding
	if t.padded {
		encoding = base64.URLEncoding
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		if t.padded && len(b)%3 == 0 {
			b = append(b, ' ') // so that every part has padding
		}
		return encoding.EncodeToString(b)
	}
	header, payload = part(t.header), part(t.payload)
	sig, err := t.method.Sign(header+"."+payload, t.key)
	if err != nil {
		panic(fmt.Sprintf("sign: %v", err))
	}
	return header, payload, encoding.EncodeToString(sig)
}

// String returns the signed token.
func (t *assertion) String() string {
	header, payload, signature := t.parts()
	return header + "." + payload + "." + signature
}
