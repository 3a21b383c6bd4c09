package caddymodule_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestSpoofSigned checks that the assertion identifies the user, with any other headers
// of the client.
func TestSpoofSigned(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	for _, p := range signedPresets {
		t.Run(p.name, func(t *testing.T) {
			first, last := "", ""
			if p.names {
				first, last = ada.first, ada.last
			}
			tokenFor := p.tokensFor()
			spoofs := p.forged.spoofs()
			// A valid assertion of another user in another header, a cookie or a bearer
			// token has no effect.
			stolen, others := tokenFor(mallory), http.Header{}
			for _, alias := range aliases(p.header) {
				others[alias] = []string{stolen}
			}
			for n, portion := range splitHeaders(others) {
				spoofs[fmt.Sprint("an assertion in aliases ", n)] = []func(*http.Request){withHeaders(portion)}
			}
			spoofs["an assertion elsewhere"] = []func(*http.Request){
				header("Authorization", "Bearer "+stolen), header("X-"+p.header, stolen), header("Http-"+p.header, stolen),
				func(r *http.Request) {
					r.AddCookie(&http.Cookie{Name: "CF_Authorization", Value: stolen})
					r.AddCookie(&http.Cookie{Name: p.header, Value: stolen})
				},
			}
			spoofs["an assertion as a trailer"] = []func(*http.Request){withBody("client_type=ios", http.Header{p.header: {stolen}})}

			t.Run("without trust", func(t *testing.T) {
				d, n := open(t, p.site(keys, "")), 0
				for _, name := range slices.Sorted(maps.Keys(spoofs)) {
					edits := spoofs[name]
					// The detector runs on a part: one request follows the other.
					if n++; testutil.Race && n%3 != 0 {
						continue
					}
					t.Run(name, func(t *testing.T) {
						edits := slices.Clip(edits)
						full, plain := fmt.Sprintf("full-%d@x.example", n), fmt.Sprintf("plain-%d@x.example", n)
						d.wantTokenOf(t, full, path+"?x=1", append(edits, setOnly(p.header, tokenFor(ada.with(full))))...)
						d.wantNames(t, full, first, last)
						d.wantTokenOf(t, plain, path+"?x=1", append(edits, setOnly(p.header, tokenFor(person{email: plain})))...)
						d.wantNames(t, plain, "", "")
						d.wantRejection(t, 401, "identity_missing", path+"?x=1", append(edits, setOnly(p.header, tokenFor(ada.with(nil))))...)
						d.wantRejection(t, 401, "identity_missing", path+"?x=1", append(edits, setOnly(p.header))...)
						d.wantUsers(t, 2)
						d.huma.Reset()
					})
				}
				d.notLogged(t, "@x.example", "@evil.example", "Mallory", "Zo", "eyJ")
			})
			t.Run("forward_auth", func(t *testing.T) {
				l, n := newLayer(t), 0
				d := open(t, forwardAuthTrust(l, "copy_headers "+p.header, p.identity(keys), "trust forward_auth "+l.hostport()))
				spoofs := maps.Clone(spoofs)
				spoofs["an assertion of another client"] = []func(*http.Request){header(p.header, stolen)}
				spoofs["two assertions"] = []func(*http.Request){header(p.header, stolen), header(p.header, tokenFor(ada))}
				for _, name := range slices.Sorted(maps.Keys(spoofs)) {
					edits := spoofs[name]
					if n++; testutil.Race && n%3 != 0 {
						continue
					}
					t.Run(name, func(t *testing.T) {
						full := fmt.Sprintf("full-%d@x.example", n)
						l.setHeaders(http.Header{p.header: {tokenFor(ada.with(full))}})
						d.wantTokenOf(t, full, path+"?x=1", edits...)
						d.wantNames(t, full, first, last)
						l.setHeaders(p.forged.headers(ada)) // without the assertion
						delete(l.header, p.header)
						d.wantRejection(t, 401, "identity_missing", path+"?x=1", edits...)
						l.setHeaders(http.Header{p.header: {tokenFor(ada), tokenFor(mallory)}})
						d.wantRejection(t, 401, "identity_invalid", path+"?x=1", edits...) // the placeholder joins the values
						d.wantUsers(t, 1)
						d.huma.Reset()
					})
				}
			})
			t.Run("proxies", func(t *testing.T) {
				l := newLayer(t)
				d := open(t, p.site(keys, "trust proxies 127.0.0.1"))
				proxied := d.at(l.proxyTo(t, d.URL, append(p.forged.own(), p.header)...).URL)
				l.setHeaders(http.Header{p.header: {tokenFor(ada)}})
				proxied.wantTokenOf(t, "ada@x.example", path, withHeaders(p.plain(mallory)))
				proxied.wantTokenOf(t, "ada@x.example", path, header(p.header, tokenFor(mallory)))
				l.setHeaders(nil)
				proxied.wantRejection(t, 401, "identity_missing", path, header(p.header, tokenFor(mallory)))
				d.wantUsers(t, 1)
				// With trust, an assertion is accepted from those peers only.
				d = open(t, p.site(keys, "trust proxies 10.0.0.0/8"))
				d.wantRejection(t, 401, "identity_untrusted", path, header(p.header, tokenFor(ada)))
				d.wantRejection(t, 401, "identity_untrusted", path, header(p.header, tokenFor(ada)), header("X-Forwarded-For", "10.0.0.1"))
				d.wantUsers(t, 0)
			})
		})
	}
}

// TestSpoofAssertions checks that everything else than one valid assertion of the layer
// is rejected.
func TestSpoofAssertions(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	attackers := testutil.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server that a token names was called") })
	logged := map[string]string{
		"another's key": "signature of the assertion is invalid", "another kid": "option jwks", "alg none": "none and algorithms with a shared secret",
		"expired": "has expired", "another issuer": "option issuer", "another audience": "option audience", "another balancer": "option signer",
	}
	// These are valid, but do not identify a user.
	valid := []string{"an address in a list", "a list of addresses", "a login", "a number", "a placeholder", "a display name"}
	for _, p := range signedPresets {
		t.Run(p.name, func(t *testing.T) {
			d := open(t, p.site(keys, ""))
			key, kid := p.key()
			token, other := p.tokenFor(ada), p.tokenFor(ada.with("bob@x.example"))
			d.wantTokenOf(t, "ada@x.example", path, header(p.header, token))
			d.wantTokenOf(t, "bob@x.example", path, header(p.header, other))
			d.wantTokenOf(t, "ada@x.example", path, header(strings.ToLower(p.header), token))

			if p.name == "google_iap" { // the text before the last colon is the prefix of Google and of the tenant
				for _, prefix := range []string{"accounts.google.com:", "securetoken.google.com/clinic/tenant:"} {
					d.wantTokenOf(t, "ada@x.example", path, header(p.header, p.tokenFor(ada.with(prefix+"ada@x.example"))))
				}
			}

			// A second value of the header is rejected, even if it is empty.
			for _, second := range []string{other, token, "", "x", unsigned(p.payload(mallory)), "mallory@evil.example"} {
				d.wantRejection(t, 401, "identity_ambiguous", path, header(p.header, token), header(p.header, second))
				d.wantRejection(t, 401, "identity_ambiguous", path, header(p.header, second), header(p.header, token))
				d.wantRejection(t, 401, "identity_ambiguous", path, header(strings.ToLower(p.header), second), header(strings.ToUpper(p.header), token))
			}

			a, b := strings.Split(token, "."), strings.Split(other, ".")
			full := replaceMembers(p.payload(ada), tokenTimes())
			payload := document(full)
			tampered := base64.RawURLEncoding.EncodeToString(document(replaceMembers(full, map[string]any{"email": "bob@x.example", "sub": "bob@x.example", "username": "bob@x.example"})))
			with := func(more map[string]any) map[string]any { return replaceMembers(p.joseHeader(), more) }
			cases := map[string]string{
				"another payload":            a[0] + "." + b[1] + "." + a[2],
				"a tampered payload":         a[0] + "." + tampered + "." + a[2],
				"another signature":          a[0] + "." + a[1] + "." + b[2],
				"no signature":               a[0] + "." + a[1] + ".",
				"two parts":                  a[0] + "." + a[1],
				"four parts":                 token + "." + a[2],
				"five parts":                 token + "." + b[1] + "." + b[2],
				"both, joined":               token + "," + other,
				"both, joined with a space":  token + ", " + other,
				"both, with a space":         token + " " + other,
				"a payload alone":            a[1],
				"JSON":                       string(payload),
				"an address":                 "ada@x.example",
				"an address with a mark":     "accounts.google.com:ada@x.example",
				"base64 of JSON":             base64.StdEncoding.EncodeToString(payload),
				"another's key":              p.write(p.method, p.attackersKey(), p.joseHeader(), payload),
				"another's key without kid":  p.write(p.method, p.attackersKey(), with(map[string]any{"kid": nil}), payload),
				"another kid":                p.write(p.method, key, with(map[string]any{"kid": nextKid}), payload),
				"its key in it":              p.write(p.method, p.attackersKey(), with(map[string]any{"jwk": jose.JSONWebKey{Key: p.attackersKey().Public(), KeyID: kid}}), payload),
				"where its keys are":         p.write(p.method, p.attackersKey(), with(map[string]any{"jku": attackers, "x5u": attackers}), payload),
				"a kid that is a path":       p.write(p.method, p.attackersKey(), with(map[string]any{"kid": "../keys/" + kidEC}), payload),
				"a kid that is a URL":        p.write(p.method, p.attackersKey(), with(map[string]any{"kid": attackers + "/" + kidEC}), payload),
				"alg none":                   p.write(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(map[string]any{"alg": "none"}), payload),
				"alg none and its signature": p.write(p.method, key, with(map[string]any{"alg": "none"}), payload),
				"a shared secret":            p.write(jwt.SigningMethodHS256, testutil.PublicPEM(key), with(map[string]any{"alg": "HS256"}), payload),
				"a shared secret, DER":       p.write(jwt.SigningMethodHS256, pemContent(testutil.PublicPEM(key)), with(map[string]any{"alg": "HS256"}), payload),
				"a shared secret, own alg":   p.write(jwt.SigningMethodHS256, testutil.PublicPEM(key), p.joseHeader(), payload),
				"an extension":               p.write(p.method, key, with(map[string]any{"crit": []string{"b64"}, "b64": false}), payload),
				"an address twice":           p.write(p.method, key, p.joseHeader(), duplicateAddress(payload)),
				"an address in a list":       p.sign(replaceMembers(full, map[string]any{"email": []string{"ada@x.example", "bob@x.example"}, "username": []string{"ada@x.example", "bob@x.example"}})),
				"a list of addresses":        p.tokenFor(ada.with("ada@x.example,bob@x.example")),
				"a login":                    p.tokenFor(ada.with("ada")),
				"a number":                   p.tokenFor(ada.with(7)),
				"a placeholder":              p.tokenFor(ada.with("{http.request.host}@x.example")),
				"a display name":             p.tokenFor(ada.with("Ada <ada@x.example>")),
				"longer than may be":         p.sign(replaceMembers(full, map[string]any{"x": strings.Repeat("x", 16<<10)})),
			}
			wrong := map[string]map[string]any{"another issuer": {"iss": "https://evil.example"}, "an issuer more": {"iss": []string{"x", "y"}}}
			if p.name == "aws_alb" {
				old := time.Now().Add(-time.Hour).Unix()
				cases["expired"] = p.write(p.method, key, with(map[string]any{"exp": old}), payload)
				cases["another balancer"] = p.write(p.method, key, with(map[string]any{"signer": albARN + "0"}), payload)
				cases["no balancer"] = p.write(p.method, key, with(map[string]any{"signer": nil}), payload)
				cases["another client"] = p.write(p.method, key, with(map[string]any{"client": "client-2"}), payload)
				cases["another issuer in its header"] = p.write(p.method, key, with(map[string]any{"iss": "https://evil.example"}), payload)
			} else {
				wrong["expired"] = map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}
				wrong["for ever"] = map[string]any{"exp": nil}
				wrong["no issuer"] = map[string]any{"iss": nil}
				wrong["another audience"] = map[string]any{"aud": "another client"}
				wrong["no audience"] = map[string]any{"aud": nil}
				wrong["an empty audience"] = map[string]any{"aud": []string{}}
			}
			for name, change := range wrong {
				cases[name] = p.sign(replaceMembers(full, change))
			}
			// The key server has keys for other purposes.
			switch {
			case acceptsBoth(p.name):
			case p.method == jwt.SigningMethodES256:
				cases["another algorithm"] = p.write(jwt.SigningMethodRS256, layerRSA(), with(map[string]any{"alg": "RS256", "kid": kidRSA}), payload)
			default:
				cases["another algorithm"] = p.write(jwt.SigningMethodES256, layerP256(), with(map[string]any{"alg": "ES256", "kid": kidEC}), payload)
			}
			for _, layer := range signedPresets {
				if layer.name != p.name {
					cases["of "+layer.name] = layer.tokenFor(ada)
				}
			}
			for name, value := range cases {
				before := len(d.huma.Calls().Calls)
				a := d.request("GET", path, header(p.header, value), withHeaders(p.forged.headers(ada)), setOnly(p.header, value))
				if a.StatusCode != 401 || !strings.Contains(string(a.Body), `"identity_invalid"`) {
					t.Errorf("%s: status %d, want 401 identity_invalid: %s", name, a.StatusCode, a.Body)
				}
				if got := a.Header.Get("WWW-Authenticate"); (got == `Bearer error="invalid_token"`) == slices.Contains(valid, name) {
					t.Errorf("%s: WWW-Authenticate: %s", name, got)
				}
				if logged[name] != "" {
					d.rejectedFor(t, a, logged[name])
				}
				d.wantNoCalls(t, before)
			}
			for _, value := range []string{"", " ", p.tokenFor(ada.with(nil)), p.tokenFor(ada.with("")), p.tokenFor(ada.with(" "))} {
				d.wantRejection(t, 401, "identity_missing", path, withHeaders(p.forged.headers(ada)), setOnly(p.header, value))
			}
			d.wantRejection(t, 403, "email_unverified", path, header(p.header, p.sign(replaceMembers(full, map[string]any{"email_verified": false}))))
			d.wantRejection(t, 403, "email_unverified", path, header(p.header, p.sign(replaceMembers(full, map[string]any{"email_verified": "false"}))))
			d.wantTokenOf(t, "ada@x.example", path, header(p.header, token)) // the valid token is still accepted
			d.wantUsers(t, 2)
			d.notLogged(t, "@x.example", "@evil.example", "eyJ", "id-of")
		})
	}
}

// pemContent returns the content of a PEM block.
func pemContent(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}

// duplicateAddress duplicates the member with the address in a document.
func duplicateAddress(doc []byte) []byte {
	return []byte(strings.Replace(string(doc), "{", `{"email":"bob@x.example","username":"bob@x.example","email":"ada@x.example",`, 1))
}
