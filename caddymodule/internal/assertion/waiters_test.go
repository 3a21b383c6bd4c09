package assertion

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// unknownKid returns a token whose key is k2, which no key server of these tests has.
func unknownKid() string {
	return sign(jwt.SigningMethodES256, p256b(), object{"kid": "k2"}, goodClaims(nil))
}

// TestK10_WaitingIsLimited checks that while the key server hangs, a few requests wait,
// and the rest is rejected at once.
func TestK10_WaitingIsLimited(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *Verifier, *keyServer) string{
		"no keys yet": func(*testing.T, *Verifier, *keyServer) string { return es256(nil) },
		"unknown key": func(t *testing.T, v *Verifier, _ *keyServer) string {
			accept(t, v, es256(nil))
			v.keys.set.older(MinInterval)
			return unknownKid()
		},
		"old keys": func(t *testing.T, v *Verifier, _ *keyServer) string {
			accept(t, v, es256(nil))
			v.keys.set.older(maxIdle + time.Second)
			return es256(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit, requests = 7, 300
			s := newKeyServer(t, jwk("k1", p256()))
			v := verifierOf(t, keysOf(t, Source{URL: s.URL}, nil), func(c *Config) { c.MaxWaiting = limit })
			token := prepare(t, v, s)
			open := make(chan struct{})
			s.respond(func(w http.ResponseWriter, _ *http.Request) {
				<-open
				_, _ = io.WriteString(w, setOf(jwk("k1", p256()), jwk("k2", p256b())))
			})
			results := make(chan error, requests)
			for range requests {
				go func() {
					_, err := v.Verify(t.Context(), token, "")
					results <- err
				}()
			}
			for range requests - limit { // they do not wait: the key server still hangs
				if err := <-results; err != identity.ErrKeysBusy {
					t.Fatalf("got %v", err)
				}
			}
			close(open)
			for range limit {
				if err := <-results; err != nil {
					t.Errorf("a waiting request got %v", err)
				}
			}
			if n := v.waiters.n.Load(); n != 0 {
				t.Errorf("%d requests are counted after all have ended", n)
			}
			accept(t, v, token)
		})
	}
}

// TestK10_Timeout checks that a request waits no longer than its own timeout, also if it
// waits twice.
func TestK10_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := newSource("k1")
		s.takes = time.Hour
		keys := keysOf(t, Source{URL: "https://x"}, nil)
		keys.set = c
		v := verifierOf(t, keys, func(c *Config) { c.Timeout = 7 * time.Second })
		for _, timeout := range []time.Duration{fetchTimeout, 7 * time.Second} {
			start := time.Now()
			if _, err := v.Verify(t.Context(), unknownKid(), ""); err != identity.ErrKeysUnavailable || time.Since(start) != timeout {
				t.Errorf("got %v after %v, want %v", err, time.Since(start), timeout)
			}
			// The next request waits for old keys, and then for the unknown one.
			synctest.Wait()
			c.set = &keySet{keys: []publicKey{{kid: "k1", key: p256().Public()}}}
			time.Sleep(maxIdle + time.Minute)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.Verify(ctx, unknownKid(), ""); err != identity.ErrKeysUnavailable || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		time.Sleep(time.Minute) // the fetch ends
	})
}

// TestB5_UnknownKey checks that a token with an unknown key is rejected for good only
// after a fetch that succeeded.
func TestB5_UnknownKey(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	accept(t, v, es256(nil))
	noKid := sign(jwt.SigningMethodES256, p256b(), nil, goodClaims(nil))
	for range 2 {
		reject(t, v, unknownKid(), identity.ErrAssertionKey)
		reject(t, v, noKid, identity.ErrAssertionSignature)

		for _, fails := range []func(){
			func() { s.fail(http.StatusBadGateway) },
			func() { s.serve("no JSON") },
			func() { s.serve(`{"keys":[]}`) },
		} {
			fails()
			keys.set.older(MinInterval)
			for range 2 { // the second one does not cause a fetch
				reject(t, v, unknownKid(), identity.ErrKeysUnavailable)
				reject(t, v, noKid, identity.ErrKeysUnavailable)
			}
			accept(t, v, es256(nil))
		}
		s.serve(setOf(jwk("k1", p256())))
		keys.set.older(MinInterval)
	}
	s.wantHits(t, 1+3+1+3)
}

// TestB5_DiscoveryDocument checks that the option jwks has the URL of a discovery
// document.
func TestB5_DiscoveryDocument(t *testing.T) {
	var reported reports
	s := newKeyServer(t)
	s.serve(`{"issuer":"` + issuer + `","jwks_uri":"https://canary.example/keys","token_endpoint":"x"}`)
	reject(t, verifierOf(t, keysOf(t, Source{URL: s.URL}, &reported)), es256(nil), identity.ErrKeysUnavailable)
	got := reported.only(t)
	for _, part := range []string{"discovery document", "jwks_uri", "issuer"} {
		if !strings.Contains(got, part) {
			t.Errorf("reported %q, without %q", got, part)
		}
	}
}

// TestB5_FetchInBackground checks that requests that arrive while the keys are refreshed
// do not wait.
func TestB5_FetchInBackground(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys, func(c *Config) { c.MaxWaiting = 1 })
	accept(t, v, es256(nil))
	open := make(chan struct{})
	s.respond(func(w http.ResponseWriter, _ *http.Request) { <-open; w.WriteHeader(http.StatusBadGateway) })
	keys.set.older(refreshAfter + time.Second)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), es256(nil), ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(open)
	keys.set.wait()
}
