package assertion

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// A token with a new key causes a fetch at once. A removed key is rejected after the
// next fetch.
func TestI17Rotation(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	before, after := es256(nil), sign(jwt.SigningMethodES256, p256b(), object{"kid": "k2"}, goodClaims(nil))
	accept(t, v, before)
	keys.set.stop()
	reject(t, v, after, identity.ErrAssertionKey)
	s.wantHits(t, 1) // no fetch: the last one was less than MinInterval ago

	s.serve(setOf(jwk("k1", p256()), jwk("k2", p256b())))
	keys.set.resume(MinInterval)
	accept(t, v, after)
	accept(t, v, before)
	s.wantHits(t, 2)

	// The key server withdraws the first key.
	s.serve(setOf(jwk("k2", p256b())))
	keys.set.older(refreshAfter + time.Second)
	accept(t, v, before) // accepted a last time: this use starts a fetch
	keys.set.wait()
	keys.set.stop()
	reject(t, v, before, identity.ErrAssertionKey)
	accept(t, v, after)
	s.wantHits(t, 3)

	// The keys were not used for an hour: the first caller waits, and a withdrawn key
	// is not accepted once more.
	s.serve(setOf(jwk("k1", p256())))
	keys.set.resume(maxIdle + time.Second)
	reject(t, v, after, identity.ErrAssertionKey)
	accept(t, v, before)
	s.wantHits(t, 4)
}

// The key changes, but tokens and keys have no id.
func TestI17RotationWithoutKid(t *testing.T) {
	s := newKeyServer(t, jwk("", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	before, after := sign(jwt.SigningMethodES256, p256(), nil, goodClaims(nil)), sign(jwt.SigningMethodES256, p256b(), nil, goodClaims(nil))
	accept(t, v, before)
	s.serve(setOf(jwk("", p256b())))
	keys.set.stop()
	reject(t, v, after, identity.ErrAssertionSignature)
	s.wantHits(t, 1)
	keys.set.resume(MinInterval)
	accept(t, v, after)
	keys.set.stop()
	reject(t, v, before, identity.ErrAssertionSignature)
	s.wantHits(t, 2)
}

// A useless response does not replace the cached keys. A set without usable keys does if
// it is served twice in a row, because the keys were withdrawn then (K5).
func TestI17UselessRefresh(t *testing.T) {
	for body, want := range map[string]error{
		"": errNotJWKS, "{}": errNotJWKS, "[]": errNotJWKS, `{"keys":null}`: errNotJWKS, `{"keys":{}}`: errNotJWKS,
		"<html>sign in</html>": errNotJWKS, setOf(jwk("k2", p256b()))[:100]: errNotJWKS,
		`{"keys":[]}`: errNoUsableKey, `{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"XX"},{},null,1,"x",[]]}`: errNoUsableKey,
	} {
		t.Run(body, func(t *testing.T) {
			var reported reports
			s := newKeyServer(t, jwk("k1", p256()))
			keys := keysOf(t, Source{URL: s.URL}, &reported)
			v := verifierOf(t, keys)
			accept(t, v, es256(nil))
			s.serve(body)
			keys.set.older(maxIdle + time.Second)
			accept(t, v, es256(nil))
			s.wantHits(t, 2)
			if got := reported.only(t); got != "fetch JWKS: "+want.Error() {
				t.Errorf("reported %q", got)
			}
			keys.set.older(maxIdle + time.Second)
			if want == errNoUsableKey {
				reject(t, v, es256(nil), identity.ErrAssertionKey)
			} else {
				accept(t, v, es256(nil))
			}
			s.wantHits(t, 3)
		})
	}
}

// A key that cannot be parsed does not affect the other keys of its set.
func TestI17MixedSet(t *testing.T) {
	good := string(asJSON(jwk("k1", p256())))
	s := newKeyServer(t)
	s.serve(`{"x":1,"keys":[
		{"kty":"EC","crv":"secp256k1","kid":"k1","x":"AAAA","y":"AAAA"},
		{"kty":"EC","crv":"P-256","kid":"k1","x":"AAAA","y":"AAAA"},
		{"kty":"OKP","crv":"X25519","kid":"k1","x":"AAAA"}, {"kty":"OKP","crv":"Ed25519","kid":"k1","x":"AAAA"},
		{"kty":"RSA","kid":"k1","n":"","e":""}, {"kty":"RSA","kid":"k1"}, {"kty":"oct","kid":"k1","k":"AAAA"},
		{"kty":1}, {"kty":"EC","kid":1}, null, 1, "x", ` + good + `]}`)
	accept(t, verifierOf(t, keysOf(t, Source{URL: s.URL}, nil)), es256(nil))
}

func TestI17KeyServerResponses(t *testing.T) {
	const broken = "fetch JWKS: connection lost, or the response is not HTTP"
	elsewhere := newKeyServer(t, jwk("k1", p256()))
	set := setOf(jwk("k1", p256()))
	for _, test := range []struct {
		name      string
		response  http.HandlerFunc
		wantError string
	}{
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "unexpected status 302; redirects are not followed"},
		{"a permanent one", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		}, "unexpected status 308; redirects are not followed"},
		{"HTML", text("<!doctype html><title>canary</title>"), errNotJWKS.Error()},
		{"404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, set, http.StatusNotFound) }, "unexpected status 404"},
		{"403", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, set, http.StatusForbidden) }, "unexpected status 403"},
		{"201", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); _, _ = io.WriteString(w, set) }, "unexpected status 201"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "unexpected status 204"},
		{"a huge body", text(`{"x":"` + strings.Repeat("x", maxResponse) + `",` + set[1:]), errTooLong.Error()},
		{"never ending", endless, errTooLong.Error()},
		{"gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b canary")
		}, errNotJWKS.Error()},
		{"B6, gzip without a header", text("\x1f\x8b canary"), errNotJWKS.Error()},
		{"B6, brotli", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "BR")
			_, _ = io.WriteString(w, "canary")
		}, errNotJWKS.Error()},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, set)
			panic(http.ErrAbortHandler)
		}, broken},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "canary canary\r\n\r\n")
			_ = conn.Close()
		}, broken},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Canary: canary\r\n", 8000)+"\r\n"+set)
			_ = conn.Close()
		}, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			var reported reports
			s := newKeyServer(t)
			s.respond(test.response)
			v := verifierOf(t, keysOf(t, Source{URL: s.URL + "/jwks?key=canary"}, &reported))
			reject(t, v, es256(nil), identity.ErrKeysUnavailable)
			got := reported.only(t)
			// The text depends on when the connection breaks.
			if got != "fetch JWKS: "+test.wantError && (test.wantError != broken || !strings.HasPrefix(got, "fetch JWKS: ")) || strings.Contains(got, "canary") {
				t.Errorf("reported %q, want %q", got, test.wantError)
			}
		})
	}
	elsewhere.wantHits(t, 0)

	t.Run("a large body that is small enough", func(t *testing.T) {
		s := newKeyServer(t)
		s.serve(`{"x":"` + strings.Repeat("x", maxResponse-len(set)-7) + `",` + set[1:])
		accept(t, verifierOf(t, keysOf(t, Source{URL: s.URL}, nil)), es256(nil))
	})
}

// endless sends a response until the client stops reading.
func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}
