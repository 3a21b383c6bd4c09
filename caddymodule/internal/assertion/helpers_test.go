package assertion

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

func TestMain(m *testing.M) {
	code := m.Run()
	subrequest.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	issuer   = "https://auth.example.com"
	audience = "huma-site"
	balancer = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/site/50dc6c495c0c9188"
	awsKid   = "0d9a2c56-1f1c-4a7e-8e0f-2f6a3c1f9b11"
)

type object = map[string]any

// Private keys of the tests, each generated once.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return testutil.NewRSAKey(2048) })
	p256   = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
	p256b  = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P256()) })
	p384   = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P384()) })
	p521   = sync.OnceValue(func() *ecdsa.PrivateKey { return testutil.NewECKey(elliptic.P521()) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, _ := ed25519.GenerateKey(rand.Reader)
		return private
	})
)

// jwk returns the public key of a private key, as an element of a key set.
func jwk(kid string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Key: key.Public()}
}

// setOf returns the JSON of a key set.
func setOf(keys ...jose.JSONWebKey) string { return string(asJSON(jose.JSONWebKeySet{Keys: keys})) }

// pemOf returns a public key as AWS serves it.
func pemOf(key crypto.Signer) string { return string(testutil.PublicPEM(key)) }

// goodClaims returns the claims of a valid token, with changes. A change to nil removes
// a claim.
func goodClaims(changes object) object {
	now := time.Now().Unix()
	return changed(object{
		"iss": issuer, "aud": audience, "sub": "u-1", "email": "ada@example.org",
		"iat": now - 10, "nbf": now - 10, "exp": now + 300,
	}, changes)
}

// awsHeader returns the JOSE header of an AWS token.
func awsHeader(changes object) object {
	return changed(object{
		"kid": awsKid, "signer": balancer, "iss": issuer, "client": audience,
		"exp": time.Now().Unix() + 120,
	}, changes)
}

func changed(all, changes object) object {
	all = maps.Clone(all)
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

// encode encodes in base64url without padding, and encodePadded with padding.
func encode[T string | []byte](b T) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }

func encodePadded[T string | []byte](b T) string { return base64.URLEncoding.EncodeToString([]byte(b)) }

// sign returns a signed token. alg is added to the header unless it has one.
func sign(method jwt.SigningMethod, key any, header, payload object) string {
	return signWith(encode[[]byte], method, key, asJSON(changed(object{"alg": method.Alg()}, header)), asJSON(payload))
}

// signText is like sign, with header and payload as JSON text.
func signText(method jwt.SigningMethod, key any, header, payload string) string {
	return signWith(encode[[]byte], method, key, []byte(header), []byte(payload))
}

func signWith(encode func([]byte) string, method jwt.SigningMethod, key any, header, payload []byte) string {
	signed := encode(header) + "." + encode(payload)
	return signed + "." + encode(testutil.Must(method.Sign(signed, key)))
}

func asJSON(v any) []byte { return testutil.Must(json.Marshal(v)) }

// es256 returns a token signed with p256, whose key id is k1.
func es256(changes object) string {
	return sign(jwt.SigningMethodES256, p256(), object{"kid": "k1"}, goodClaims(changes))
}

// keyServer is a key server with a configurable response.
type keyServer struct {
	URL  string
	hits atomic.Int64

	mu     sync.Mutex
	handle http.HandlerFunc
}

// newKeyServer returns a server of a key set.
func newKeyServer(t testing.TB, keys ...jose.JSONWebKey) *keyServer {
	t.Helper()
	s := new(keyServer)
	s.serve(setOf(keys...))
	s.URL = testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		handle := s.handle
		s.mu.Unlock()
		handle(w, r)
	})
	return s
}

func (s *keyServer) respond(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
}

func (s *keyServer) serve(body string) { s.respond(testutil.Respond(http.StatusOK, body)) }

func (s *keyServer) fail(status int) { s.respond(testutil.Respond(status, "")) }

// wantHits fails unless the server received this number of requests.
func (s *keyServer) wantHits(t testing.TB, want int64) {
	t.Helper()
	if got := s.hits.Load(); got != want {
		t.Fatalf("the key server received %d requests, want %d", got, want)
	}
}

// reports records the errors passed to onError.
type reports struct{ testutil.Recorder[string] }

func (r *reports) add(err error) { r.Add(err.Error()) }

// only returns the single expected report.
func (r *reports) only(t testing.TB) string {
	t.Helper()
	testutil.Eventually(t, 2*time.Second, "an error is reported", func() bool { return len(r.All()) > 0 })
	seen := r.All()
	if len(seen) > 1 {
		t.Fatalf("reported %q, want one error", seen)
	}
	return seen[0]
}

func keysOf(t testing.TB, source Source, r *reports) *Keys {
	t.Helper()
	var log Log
	if r != nil {
		log.FetchFailed = r.add
	}
	k, err := NewKeys(source, log)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// verifierOf returns a Verifier with the default issuer and audience.
func verifierOf(t testing.TB, keys *Keys, change ...func(*Config)) *Verifier {
	t.Helper()
	c := Config{Keys: keys, Issuer: issuer, Audience: []string{"other", audience}}
	for _, f := range change {
		f(&c)
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claimOf returns a claim of the option require, or of a preset.
func claimOf(path string, values ...string) presets.Claim {
	return presets.Claim{Path: path, Values: values}
}

// newVerifier returns a Verifier with a key server of its own.
func newVerifier(t testing.TB, keys ...jose.JSONWebKey) *Verifier {
	return verifierOf(t, keysOf(t, Source{URL: newKeyServer(t, keys...).URL}, nil))
}

// awsVerifier returns a Verifier for one load balancer, whose key is p256.
func awsVerifier(t testing.TB, change ...func(*Config)) (*Verifier, *keyServer) {
	s := newKeyServer(t)
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys/"+awsKid {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, pemOf(p256()))
	})
	keys := keysOf(t, Source{URL: s.URL + "/keys/", ByID: true}, nil)
	return verifierOf(t, keys, append([]func(*Config){func(c *Config) { c.Signers = []string{"arn:other", balancer} }}, change...)...), s
}

// accept fails unless the token is accepted. It returns the claims.
func accept(t testing.TB, v *Verifier, token string) claims.Document {
	t.Helper()
	doc, err := v.Verify(t.Context(), token, "")
	if err != nil {
		t.Fatalf("rejected: %v", err)
	}
	if doc.Map()["email"] != "ada@example.org" {
		t.Fatalf("the claims are %v", doc.Map())
	}
	return doc
}

// reject fails unless the token is rejected with this error and no claims are returned.
func reject(t testing.TB, v *Verifier, token string, want error) {
	t.Helper()
	rejectWith(t, t.Context(), v, token, want)
}

func rejectWith(t testing.TB, ctx context.Context, v *Verifier, token string, want error) {
	t.Helper()
	doc, err := v.Verify(ctx, token, "")
	if err != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	if doc.Map() != nil {
		t.Fatalf("rejected, but with the claims %v", doc.Map())
	}
}

// noLimit is a waiter without limits.
var noLimit = new(waiters).waiter()

// parts splits a token.
func parts(token string) []string { return strings.Split(token, ".") }

// older moves the times of the last fetch into the past.
func (c *keyCache) older(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started, c.finished = c.started.Add(-by), c.finished.Add(-by)
}

// stop prevents further fetches, however slow the machine is: it moves the last fetch
// 24 h into the future. resume moves it back, and by further into the past.
func (c *keyCache) stop()                   { c.older(-24 * time.Hour) }
func (c *keyCache) resume(by time.Duration) { c.older(24*time.Hour + by) }

// wait waits until no fetch is running.
func (c *keyCache) wait() {
	c.mu.Lock()
	running := c.running
	c.mu.Unlock()
	if running != nil {
		<-running
	}
}

// decode reverses encode.
func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nextCharacter returns the character after c in the alphabet of base64url.
func nextCharacter(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_A"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}
