package assertion

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// awsToken returns a token in the format of an AWS load balancer.
func awsToken(header, payload object) string {
	return signWith(encodePadded[[]byte], jwt.SigningMethodES256, p256(),
		asJSON(changed(object{"typ": "JWT", "alg": "ES256"}, awsHeader(header))), asJSON(awsClaims(payload)))
}

// awsClaims returns the user's claims as AWS sends them.
func awsClaims(changes object) object {
	return changed(object{
		"sub": "u-1", "email": "ada@example.org", "iss": issuer, "exp": time.Now().Unix() + 120,
	}, changes)
}

func TestI17AWSPadding(t *testing.T) {
	v, s := awsVerifier(t)
	// Test every length of padding, of header and payload.
	seen := make(map[string]bool)
	for i := range 9 {
		token := awsToken(object{"x": strings.Repeat("x", i%3)}, object{"x": strings.Repeat("x", i/3)})
		accept(t, v, token)
		p := parts(token)
		seen[fmt.Sprint(strings.Count(p[0], "="), strings.Count(p[1], "="))] = true

		// The signature covers the padded text.
		p[0], p[1] = strings.TrimRight(p[0], "="), strings.TrimRight(p[1], "=")
		if bare := strings.Join(p, "."); strings.Contains(token[:strings.LastIndex(token, ".")], "=") {
			reject(t, v, bare, identity.ErrAssertionSignature)
		}
	}
	if len(seen) != 9 {
		t.Errorf("tested paddings %v, want all nine", seen)
	}
	// A token that is signed without padding is accepted.
	accept(t, v, sign(jwt.SigningMethodES256, p256(), awsHeader(nil), awsClaims(object{"x": "x"})))
	// Padding of the signature itself is optional.
	accept(t, v, strings.TrimRight(awsToken(nil, nil), "="))
	s.wantHits(t, 1)

	for _, token := range []string{
		strings.Replace(awsToken(nil, nil), ".", "=.", 1), awsToken(nil, nil) + "=", awsToken(nil, nil) + "====",
		"=" + awsToken(nil, nil), "=.=.=", awsToken(nil, nil) + "\n",
	} {
		reject(t, v, token, identity.ErrAssertionMalformed)
	}
	// Verifiers without Signers reject padding.
	reject(t, newVerifier(t, jwk("k1", p256())), signWith(encodePadded[[]byte], jwt.SigningMethodES256, p256(),
		[]byte(`{"alg":"ES256","kid":"k1"}`), asJSON(goodClaims(nil))), identity.ErrAssertionMalformed)
}

func TestI17AWSHeader(t *testing.T) {
	v, _ := awsVerifier(t)
	now := time.Now().Unix()
	for _, test := range []struct {
		name            string
		header, payload object
		want            error
	}{
		{"good", nil, nil, nil},
		{"expired in the header", object{"exp": now - 31}, nil, identity.ErrAssertionExpired},
		{"within leeway", object{"exp": now - 25}, nil, nil},
		{"no exp in the header", object{"exp": nil}, nil, identity.ErrAssertionExpired},
		{"exp as a text", object{"exp": fmt.Sprint(now + 100)}, nil, identity.ErrAssertionExpired},
		{"exp huge", object{"exp": 1e300}, nil, identity.ErrAssertionExpired},
		{"exp a fraction", object{"exp": float64(now) + 100.5}, nil, nil},
		{"exp a list", object{"exp": []int64{now + 100}}, nil, identity.ErrAssertionExpired},
		{"expired in the payload", nil, object{"exp": now - 31}, identity.ErrAssertionExpired},
		{"payload exp as a text", nil, object{"exp": "x"}, identity.ErrAssertionExpired},
		{"no exp in the payload", nil, object{"exp": nil}, nil},
		{"nbf ahead", nil, object{"nbf": now + 60}, identity.ErrAssertionNotYetValid},
		{"iat ahead", nil, object{"iat": now + 60}, identity.ErrAssertionNotYetValid},
		{"iat ahead in the header", object{"iat": now + 60}, nil, identity.ErrAssertionNotYetValid},
		{"other issuer", object{"iss": "https://x"}, nil, identity.ErrAssertionIssuer},
		{"no issuer", object{"iss": nil}, nil, identity.ErrAssertionIssuer},
		{"payload of other issuer", nil, object{"iss": "https://x"}, identity.ErrAssertionIssuer},
		{"payload without issuer", nil, object{"iss": nil}, nil},
		{"other client", object{"client": "x"}, nil, identity.ErrAssertionAudience},
		{"no client", object{"client": nil}, nil, identity.ErrAssertionAudience},
		{"client a list", object{"client": []string{audience}}, nil, identity.ErrAssertionAudience},
		{"client in the payload", object{"client": nil}, object{"client": audience, "aud": audience}, identity.ErrAssertionAudience},
		{"other signer", object{"signer": balancer + "0"}, nil, identity.ErrAssertionSigner},
		{"no signer", object{"signer": nil}, nil, identity.ErrAssertionSigner},
		{"signer empty", object{"signer": ""}, nil, identity.ErrAssertionSigner},
		{"signer a list", object{"signer": []string{balancer}}, nil, identity.ErrAssertionSigner},
		{"signer in the payload", object{"signer": nil}, object{"signer": balancer}, identity.ErrAssertionSigner},
		{"signer in another case", object{"signer": strings.ToUpper(balancer)}, nil, identity.ErrAssertionSigner},
		{"another member of a name", object{"signer": nil, "Signer": balancer}, nil, identity.ErrAssertionSigner},
		{"another algorithm", object{"alg": "ES384"}, nil, identity.ErrAssertionAlgorithm},
		{"crit", object{"crit": []string{"signer"}}, nil, identity.ErrAssertionMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == nil {
				accept(t, v, awsToken(test.header, test.payload))
			} else {
				reject(t, v, awsToken(test.header, test.payload), test.want)
			}
		})
	}

	t.Run("no issuer or audience in the config", func(t *testing.T) {
		v, _ := awsVerifier(t, func(c *Config) { c.Issuer, c.Audience = "", nil })
		accept(t, v, awsToken(object{"iss": nil, "client": nil}, object{"iss": "https://x"}))
	})
	t.Run("RS256 on request", func(t *testing.T) {
		v, _ := awsVerifier(t, func(c *Config) { c.Algorithms = []string{"RS256"} })
		reject(t, v, awsToken(nil, nil), identity.ErrAssertionAlgorithm)
	})
}

// A token that another load balancer of the region signed: its key is on the same key
// server.
func TestI17AWSOtherLoadBalancer(t *testing.T) {
	v, s := awsVerifier(t)
	signed := awsToken(object{"signer": strings.Replace(balancer, "123456789012", "999999999999", 1)}, nil)
	reject(t, v, signed, identity.ErrAssertionSigner)
	s.wantHits(t, 0) // a rejected token does not cause a fetch

	// The right signer in the header, with a signature of the other load balancer.
	p := parts(signed)
	p[0] = parts(awsToken(nil, nil))[0]
	reject(t, v, strings.Join(p, "."), identity.ErrAssertionSignature)
	s.wantHits(t, 1)
}

func TestI17AWSKid(t *testing.T) {
	v, s := awsVerifier(t)
	for _, kid := range []any{
		nil, "", ".", "..", "../" + awsKid, "a/b", "a%2Fb", "a?b", "a#b", "a b", "a\x00b", "ä", awsKid + "\n",
		strings.Repeat("a", 65), "a_b", "a.pem", "http://x/", "unknown", strings.Repeat("0", 32),
		awsKid + "0", awsKid[1:], "g" + awsKid[1:], "{" + awsKid + "}", strings.ReplaceAll(awsKid, "-", ""), "-" + awsKid[1:],
	} {
		reject(t, v, awsToken(object{"kid": kid}, nil), identity.ErrAssertionKey)
	}
	reject(t, v, awsToken(object{"kid": 1}, nil), identity.ErrAssertionMalformed)
	s.wantHits(t, 0)
	reject(t, v, awsToken(object{"kid": strings.ToUpper(uuid(1))}, nil), identity.ErrAssertionKey)
	s.wantHits(t, 1)
	accept(t, v, awsToken(nil, nil))
	s.wantHits(t, 2)
}

func TestI17AWSKeyServer(t *testing.T) {
	for _, test := range []struct {
		name      string
		response  http.HandlerFunc
		want      error
		wantError string
	}{
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, identity.ErrAssertionKey, ""},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, identity.ErrAssertionKey, ""},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, identity.ErrKeysUnavailable, "unexpected status 500"},
		{"a set", text(setOf(jwk(awsKid, p256()))), identity.ErrKeysUnavailable, errNotPEM.Error()},
		{"nothing", text(""), identity.ErrKeysUnavailable, errNotPEM.Error()},
		{"a private key", text("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"), identity.ErrKeysUnavailable, errNotPEM.Error()},
		{"garbage", text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), identity.ErrKeysUnavailable, errNotPEM.Error()},
		{"another label", text(strings.ReplaceAll(pemOf(p256()), "PUBLIC KEY", "SSH KEY")), identity.ErrKeysUnavailable, errNotPEM.Error()},
		{"a small key", text(pemOf(testutil.NewRSAKey(1024))), identity.ErrKeysUnavailable, errNoUsableKey.Error() + ": an RSA key of 1024 bits is not supported (2048 to 8192)"},
		{"an RSA key", text(pemOf(rsaKey())), identity.ErrAssertionKey, ""},
		{"another curve", text(pemOf(p384())), identity.ErrAssertionKey, ""},
		{"another key", text(pemOf(p256b())), identity.ErrAssertionSignature, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var reported reports
			s := newKeyServer(t)
			s.respond(test.response)
			keys := keysOf(t, Source{URL: s.URL, ByID: true}, &reported)
			v := verifierOf(t, keys, func(c *Config) { c.Signers = []string{balancer} })
			reject(t, v, awsToken(nil, nil), test.want)
			if test.wantError != "" {
				if got := reported.only(t); got != "fetch JWKS: "+test.wantError {
					t.Errorf("reported %q, want %q", got, test.wantError)
				}
			} else if got := reported.All(); len(got) > 0 {
				t.Errorf("reported %q", got)
			}
			s.wantHits(t, 1)
		})
	}
}

func text(body string) http.HandlerFunc { return testutil.Respond(http.StatusOK, body) }

// Cached keys remain valid while AWS is down, and are dropped when AWS reports that
// they are gone.
func TestI17AWSRefresh(t *testing.T) {
	v, s := awsVerifier(t)
	accept(t, v, awsToken(nil, nil))
	c := v.keys.byID[awsKid]
	s.fail(503)
	c.older(24 * time.Hour)
	accept(t, v, awsToken(nil, nil))
	s.wantHits(t, 2)
	s.fail(404)
	c.older(24 * time.Hour)
	reject(t, v, awsToken(nil, nil), identity.ErrAssertionKey)
	s.wantHits(t, 3)
	// The key is found again when it is back.
	s.serve(pemOf(p256()))
	accept(t, v, awsToken(nil, nil))
	s.wantHits(t, 4)
}

// uuid returns a made-up key id.
func uuid(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", i) }

// unlimited removes the rate limits for unknown ids.
func unlimited(k *Keys) {
	k.limit.SetLimit(rate.Inf)
	k.peers[peerOf("")] = rate.NewLimiter(rate.Inf, peerBurst)
}

// Random ids cause only a few requests to the key server, and do not evict keys in use.
func TestI17AWSRandomKids(t *testing.T) {
	v, s := awsVerifier(t)
	known, start := awsToken(nil, nil), time.Now()
	accept(t, v, known)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			peer := fmt.Sprintf("192.0.2.%d:1234", i%100)
			if _, err := v.Verify(t.Context(), withKid(known, uuid(i)), peer); err != identity.ErrAssertionKey && err != identity.ErrKeysRateLimited {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	accept(t, v, known)
	limit := unknownBurst + 1 + int64(time.Since(start)/unknownEvery)
	if got := s.hits.Load(); got < unknownBurst || got > limit {
		t.Errorf("the key server received %d requests, want at most %d", got, limit)
	}
	if got := len(v.keys.byID); int64(got) > limit {
		t.Errorf("%d ids are kept", got)
	}
}

// The cache of existing ids is limited, and the key in use is not evicted.
func TestI17AWSManyKids(t *testing.T) {
	v, s := awsVerifier(t)
	s.serve(pemOf(p256()))
	unlimited(v.keys)
	for i := range 3 * maxIDs {
		accept(t, v, awsToken(object{"kid": uuid(i)}, nil))
		accept(t, v, awsToken(nil, nil))
		if got := len(v.keys.byID); got > maxIDs {
			t.Fatalf("%d ids are kept", got)
		}
	}
	s.wantHits(t, 3*maxIDs+1)
	if got := len(v.keys.byID); got != maxIDs {
		t.Errorf("%d ids are kept, want %d", got, maxIDs)
	}
	if v.keys.byID[uuid(3*maxIDs-1)] == nil || v.keys.byID[uuid(0)] != nil {
		t.Error("the oldest ids are kept, not the newest")
	}
}

// Unknown ids do not evict known ones, used or not.
func TestI17AWSUnknownKids(t *testing.T) {
	v, s := awsVerifier(t)
	unlimited(v.keys)
	known := awsToken(nil, nil)
	accept(t, v, known)
	for i := range 3 * maxIDs {
		reject(t, v, withKid(known, uuid(i)), identity.ErrAssertionKey)
	}
	accept(t, v, known)
	s.wantHits(t, 3*maxIDs+1)
}

func TestNew(t *testing.T) {
	set, byID := keysOf(t, Source{URL: "https://x"}, nil), keysOf(t, Source{URL: "https://x", ByID: true}, nil)
	good := Config{Keys: set, Issuer: issuer, Audience: []string{audience}}
	aws := Config{Keys: byID, Signers: []string{balancer}}
	for _, test := range []struct {
		name   string
		base   Config
		change func(*Config)
		want   string // empty: no error
	}{
		{"good", good, func(*Config) {}, ""},
		{"AWS", aws, func(*Config) {}, ""},
		{"pinned", good, func(c *Config) { c.Algorithms = []string{"RS256", "EdDSA"} }, ""},
		{"any audience", good, func(c *Config) { c.Audience = nil }, "audience"},
		{"a claim in place of the audience", good, func(c *Config) { c.Audience, c.Require = nil, []presets.Claim{{Path: "azp", Values: []string{"a"}}} }, ""},
		{"none", good, func(c *Config) { c.Algorithms = []string{"none"} }, `"none"`},
		{"None", good, func(c *Config) { c.Algorithms = []string{"None"} }, `"None"`},
		{"HS256", good, func(c *Config) { c.Algorithms = []string{"RS256", "HS256"} }, `"HS256"`},
		{"HS512 of AWS", aws, func(c *Config) { c.Algorithms = []string{"HS512"} }, `"HS512"`},
		{"empty", good, func(c *Config) { c.Algorithms = []string{""} }, `""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.change(&test.base)
			v, err := New(test.base)
			switch {
			case test.want == "" && (err != nil || v == nil):
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
