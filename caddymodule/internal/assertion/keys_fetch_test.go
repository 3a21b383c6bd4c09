package assertion

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/subrequest"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestKeyRequest checks the HTTP request for keys.
func TestKeyRequest(t *testing.T) {
	s := newKeyServer(t)
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != "/jwks?tenant=a" || r.UserAgent() != "caddy-huma" || r.Header.Get("Accept") != "*/*" || r.Header.Get("Accept-Encoding") != "identity" || len(r.Header) != 3 {
			t.Errorf("requested with %s %s %v", r.Method, r.URL, r.Header)
		}
		_, _ = io.WriteString(w, setOf(jwk("k1", p256())))
	})
	accept(t, verifierOf(t, keysOf(t, Source{URL: s.URL + "/jwks?tenant=a"}, nil)), es256(nil))
}

// TestE4_CA checks a key server with a certificate of a private authority, which
// Source.Transport trusts.
func TestE4_CA(t *testing.T) {
	s := testutil.NewServer(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_, _ = io.WriteString(w, `{"issuer":"`+s.URL+`","jwks_uri":"`+s.URL+`/keys"}`)
		case "/byid/" + awsKid:
			_, _ = io.WriteString(w, pemOf(p256()))
		default:
			_, _ = io.WriteString(w, setOf(jwk("k1", p256())))
		}
	})
	s.StartTLS()
	another := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	for name, c := range map[string]struct {
		source Source
		config func(*Config)
		token  string
	}{
		"jwks":      {Source{URL: s.URL}, func(*Config) {}, es256(nil)},
		"discovery": {Source{Issuer: s.URL}, func(c *Config) { c.Issuer = s.URL }, es256(object{"iss": s.URL})},
		"by id":     {Source{URL: s.URL + "/byid", ByID: true}, func(c *Config) { c.Signers = []string{balancer} }, awsToken(nil, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			c.source.Transport = s.Client().Transport
			accept(t, verifierOf(t, keysOf(t, c.source, nil), c.config), c.token)
			for _, wrong := range []http.RoundTripper{nil, another} {
				var reported reports
				c.source.Transport = wrong
				reject(t, verifierOf(t, keysOf(t, c.source, &reported), c.config), c.token, identity.ErrKeysUnavailable)
				if got := reported.only(t); !strings.Contains(got, "certificate is not trusted: unknown authority") {
					t.Errorf("reported %q", got)
				}
			}
		})
	}
}

// TestCertificate uses another host name than that of the certificate.
func TestCertificate(t *testing.T) {
	s := testutil.NewServer(t, text(setOf(jwk("k1", p256()))))
	s.EnableHTTP2 = true
	s.StartTLS()
	source := Source{URL: s.URL, Transport: s.Client().Transport}
	accept(t, verifierOf(t, keysOf(t, source, nil)), es256(nil))

	var reported reports
	source.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	reject(t, verifierOf(t, keysOf(t, source, &reported)), es256(nil), identity.ErrKeysUnavailable)
	if got := reported.only(t); got != "fetch JWKS: the key server's certificate is not valid for this host" {
		t.Errorf("reported %q", got)
	}
}

// TestSlowKeyServer fetches from a server that does not respond, and from one that
// sends its response very slowly.
func TestSlowKeyServer(t *testing.T) {
	for name, response := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyServer(t)
			s.respond(response)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			b, err := keysOf(t, Source{URL: s.URL}, nil).download(ctx, s.URL)
			if b != nil || err != subrequest.ErrTimeout || time.Since(start) > 3*time.Second {
				t.Errorf("got %q, %v after %v", b, err, time.Since(start))
			}
		})
	}
}

// Thousands of tokens with random key ids cause one request to the key server every
// five seconds, and known keys remain valid.
func TestI17RandomKids(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	known := es256(nil)
	accept(t, v, known)
	for range 2 {
		keys.set.older(MinInterval)
		before, start := s.hits.Load(), time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), withKid(known, fmt.Sprint("x", i)), ""); err != identity.ErrAssertionKey {
					t.Errorf("got %v", err)
				}
				if i%50 == 0 {
					if _, err := v.Verify(t.Context(), known, ""); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := s.hits.Load() - before; got < 1 || got > 1+int64(time.Since(start)/MinInterval) {
			t.Errorf("%d fetches in %v", got, time.Since(start))
		}
	}
}

// withKid replaces the key id of a token. Its signature is no longer valid then.
func withKid(token, kid string) string {
	p := parts(token)
	p[0] = encode(asJSON(awsHeader(object{"alg": "ES256", "kid": kid})))
	return strings.Join(p, ".")
}

// A canceled caller does not wait, and does not stop the fetch.
func TestI17ClientDisconnects(t *testing.T) {
	s := newKeyServer(t)
	received, open := make(chan struct{}), make(chan struct{})
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		close(received)
		select {
		case <-open:
		case <-r.Context().Done():
			t.Error("the fetch was canceled")
		}
		_, _ = io.WriteString(w, setOf(jwk("k1", p256())))
	})
	keys := keysOf(t, Source{URL: s.URL}, nil)
	v := verifierOf(t, keys)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-received; cancel() }()
	rejectWith(t, ctx, v, es256(nil), identity.ErrKeysUnavailable)
	rejectWith(t, ctx, v, es256(nil), identity.ErrKeysUnavailable)
	close(open)
	accept(t, v, es256(nil))
	s.wantHits(t, 1)

	// The same for an unknown key.
	received, open = make(chan struct{}), make(chan struct{})
	keys.set.older(MinInterval)
	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-received; cancel() }()
	rejectWith(t, ctx, v, sign(jwt.SigningMethodES256, p256b(), object{"kid": "k2"}, goodClaims(nil)), identity.ErrKeysUnavailable)
	accept(t, v, es256(nil)) // known keys do not wait
	close(open)
	keys.set.wait()
	s.wantHits(t, 2)
}

// TestPrefetch checks that Prefetch fetches only missing or old keys.
func TestPrefetch(t *testing.T) {
	s := newKeyServer(t, jwk("k1", p256()))
	keys := keysOf(t, Source{URL: s.URL}, nil)
	for range 3 {
		keys.Prefetch()
	}
	keys.set.wait()
	accept(t, verifierOf(t, keys), es256(nil))
	keys.set.older(refreshAfter - time.Second)
	keys.Prefetch()
	keys.set.wait()
	s.wantHits(t, 1)
	keys.set.older(2 * time.Second)
	keys.Prefetch()
	keys.set.wait()
	s.wantHits(t, 2)

	keysOf(t, Source{URL: s.URL, ByID: true}, nil).Prefetch()
	s.wantHits(t, 2)
}
