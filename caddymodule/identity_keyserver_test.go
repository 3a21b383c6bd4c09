package caddymodule_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The following keys are shared by all layers, because RSA keys take long to generate.
var (
	layerRSA  = sync.OnceValue(func() *rsa.PrivateKey { return testutil.NewRSAKey(2048) })
	otherRSA  = sync.OnceValue(func() *rsa.PrivateKey { return testutil.NewRSAKey(2048) })
	layerP256 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
	otherP256 = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
)

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
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "shared", Key: []byte("secret")}}} // not a public key; it must be ignored
		for kid, key := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: kid, Key: key.Public(), Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
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

// nextKid is the ID of the next key of a layer, attackersKey. The IDs of AWS are UUIDs.
const nextKid = "5b1f0c1e-7f9a-4d55-9c1a-1d0c5f0e2a22"

// setKeysOf sets the keys of presets. The name of the preset is the name of the layer.
func (k *keyServer) setKeysOf(presets ...signedPreset) {
	for _, p := range presets {
		key, kid := p.key()
		k.setKeys(p.name, map[string]crypto.Signer{kid: key})
	}
}

// directive returns a huma_token at the path of the preset's name, with the keys of k.
func (p signedPreset) directive(k *keyServer, more string) string {
	return "huma_token /" + p.name + " {\nHUMA\n" + p.identity(k.URL+"/"+p.name) + more + "\n}\n"
}

// signIn adds the layer's assertion to a request.
func (p signedPreset) signIn(email string) func(*http.Request) {
	return header(p.header, p.tokenFor(person{email: email}))
}

// signInWithNextKey adds an assertion that is signed with the layer's next key to a
// request.
func (p signedPreset) signInWithNextKey(email string) func(*http.Request) {
	payload := replaceMembers(p.payload(person{email: email}), tokenTimes())
	return header(p.header, p.write(p.method, p.attackersKey(), replaceMembers(p.joseHeader(), map[string]any{"kid": nextKid}), document(payload)))
}
