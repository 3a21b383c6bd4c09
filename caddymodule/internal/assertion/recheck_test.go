package assertion

import (
	"crypto"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// TestB2_SameKid checks a key server that replaces a key by another one with the same ID,
// also of another type.
func TestB2_SameKid(t *testing.T) {
	signed := func(method jwt.SigningMethod, key crypto.Signer) string {
		return sign(method, key, object{"kid": "k1"}, goodClaims(nil))
	}
	for name, next := range map[string]struct {
		token string
		key   jose.JSONWebKey
	}{
		"another key":  {signed(jwt.SigningMethodES256, p256b()), jwk("k1", p256b())},
		"another type": {signed(jwt.SigningMethodRS256, rsaKey()), jwk("k1", rsaKey())},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyServer(t, jwk("k1", p256()))
			keys := keysOf(t, Source{URL: s.URL}, nil)
			v := verifierOf(t, keys)
			accept(t, v, es256(nil))
			s.serve(setOf(next.key))
			keys.set.older(MinInterval)
			accept(t, v, next.token)
			if _, err := v.Verify(t.Context(), es256(nil), ""); err == nil {
				t.Error("the replaced key is still valid")
			}
			s.wantHits(t, 2)
		})
	}
}

// TestB2_WaitForTheFetch checks that requests that arrive during the fetch wait for it.
func TestB2_WaitForTheFetch(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	accept(t, v, es256(nil))
	keys.set.older(MinInterval)
	received, open := make(chan struct{}), make(chan struct{})
	s.respond(func(w http.ResponseWriter, _ *http.Request) {
		close(received)
		<-open
		_, _ = io.WriteString(w, setOf(jwk("k1", p256b())))
	})
	token := sign(jwt.SigningMethodES256, p256b(), object{"kid": "k1"}, goodClaims(nil))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token, ""); err != nil {
				t.Error(err)
			}
		})
	}
	<-received
	for range 50 {
		accept(t, v, es256(nil)) // a right signature does not wait
	}
	close(open)
	wg.Wait()
	s.wantHits(t, 2)
}

// TestB2_Backoff checks that forged tokens cause fewer and fewer fetches while the key
// server has the same keys. A rotation is still detected.
func TestB2_Backoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := newSource("k1")
		s.takes = 0
		keys := keysOf(t, Source{URL: "https://x"}, nil)
		keys.set = c
		v := verifierOf(t, keys)
		accept(t, v, es256(nil))
		time.Sleep(MinInterval)
		forged := sign(jwt.SigningMethodES256, p256b(), object{"kid": "k1"}, goodClaims(object{"exp": time.Now().Add(2 * time.Hour).Unix()}))
		gaps := func() (gaps []time.Duration) {
			for i := 1; i < len(s.fetches); i++ {
				gaps = append(gaps, s.fetches[i].Sub(s.fetches[i-1])/time.Second)
			}
			return gaps
		}
		// Every second, a forged token and a valid one. A token with an unknown key is
		// not affected, and does not end the delay.
		for range 15 * 60 {
			reject(t, v, forged, identity.ErrAssertionSignature)
			if _, err := c.get(t.Context(), noLimit); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if got, want := gaps(), []time.Duration{5, 5, 10, 20, 40, 80, 160, 300}; !slices.Equal(got, want) {
			t.Fatalf("fetched with gaps of %v s, want %v", got, want)
		}
		n := len(s.fetches)
		reject(t, v, unknownKid(), identity.ErrAssertionKey)
		if len(s.fetches) != n+1 {
			t.Error("a token with an unknown key has to wait as well")
		}
		reject(t, v, forged, identity.ErrAssertionSignature)

		// The rotation ends the delay.
		s.set = &keySet{keys: []publicKey{{kid: "k1", key: p256b().Public()}}}
		time.Sleep(maxRecheckDelay)
		accept(t, v, forged)
		s.fetches = nil
		old := sign(jwt.SigningMethodES256, p256(), object{"kid": "k1"}, goodClaims(object{"exp": time.Now().Add(time.Hour).Unix()}))
		for range 12 {
			time.Sleep(time.Second)
			reject(t, v, old, identity.ErrAssertionSignature)
		}
		if len(s.fetches) != 2 {
			t.Errorf("%d fetches in 12 s after the rotation", len(s.fetches))
		}

		// A fetch that fails counts, and does not hide that the signature is wrong.
		s.err, s.fetches = errNotJWKS, nil
		time.Sleep(time.Minute)
		for range 30 {
			reject(t, v, old, identity.ErrAssertionSignature)
			time.Sleep(time.Second)
		}
		if len(s.fetches) > 2 {
			t.Errorf("%d fetches while the key server is down", len(s.fetches))
		}
	})
}

// TestB2_ByID is TestB2_SameKid for keys that are fetched by ID.
func TestB2_ByID(t *testing.T) {
	v, s := awsVerifier(t)
	accept(t, v, awsToken(nil, nil))
	s.serve(pemOf(p256b()))
	v.keys.byID[awsKid].older(MinInterval)
	token := signWith(encodePadded[[]byte], jwt.SigningMethodES256, p256b(), asJSON(changed(object{"alg": "ES256"}, awsHeader(nil))), asJSON(awsClaims(nil)))
	accept(t, v, token)
	s.wantHits(t, 2)
}
