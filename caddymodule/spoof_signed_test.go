package caddymodule_test

import (
	"crypto"
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

// signedPreset is a layer that signs what it says of a user.
type signedPreset struct {
	name, header string
	method       jwt.SigningMethod
	// verify are the options in the block, in which KEYS stands for the URL
	// of the public keys.
	verify string
	// payload is what a token says of a person, but for its times.
	payload func(person) map[string]any
	// names says that there are names in it.
	names bool
	// forged are the headers that it sends unsigned, or might.
	forged headerPreset
	// also are those of them that are not among the preset's of headers.
	also []string
}

const (
	albARN    = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/site/50dc6c495c0c9188"
	albIssuer = "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_x"
)

var signedPresets = []signedPreset{
	{
		name: "aws_alb", header: "X-Amzn-Oidc-Data", method: jwt.SigningMethodES256, names: true,
		verify: "jwks KEYS\nsigner " + albARN + "\nissuer " + albIssuer + "\naudience client-1",
		payload: func(who person) map[string]any {
			return replaced(claimsOf(who), map[string]any{"iss": albIssuer, "username": who.id})
		},
		forged: headerPreset{name: "aws_alb", email: "X-Amzn-Oidc-Identity", also: []string{"X-Amzn-Oidc-Accesstoken"}},
		also:   []string{"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken"},
	},
	{
		name: "cloudflare_access", header: "Cf-Access-Jwt-Assertion", method: jwt.SigningMethodRS256,
		verify: "jwks KEYS\nissuer https://team.cloudflareaccess.com\naudience tag-1",
		payload: func(who person) map[string]any {
			return replaced(claimsOf(who), map[string]any{"iss": "https://team.cloudflareaccess.com", "aud": []string{"tag-1"}, "type": "app", "country": "NL"})
		},
		forged: rowOf("cloudflare_access"),
	},
	{
		name: "google_iap", header: "X-Goog-Iap-Jwt-Assertion", method: jwt.SigningMethodES256,
		verify: "jwks KEYS\naudience /projects/1/apps/site",
		payload: func(who person) map[string]any {
			return replaced(claimsOf(who), map[string]any{"iss": "https://cloud.google.com/iap", "aud": "/projects/1/apps/site", "sub": "accounts.google.com:" + who.id, "hd": "x.example"})
		},
		forged: rowOf("google_iap"),
	},
	{
		name: "pomerium", header: "X-Pomerium-Jwt-Assertion", method: jwt.SigningMethodES256, names: true,
		verify: "jwks KEYS\naudience route.example",
		payload: func(who person) map[string]any {
			return replaced(claimsOf(who), map[string]any{"iss": "route.example", "aud": "route.example", "groups": []string{"a"}})
		},
		forged: rowOf("pomerium"),
	},
	{
		name: "teleport", header: "Teleport-Jwt-Assertion", method: jwt.SigningMethodRS256,
		verify: "jwks KEYS\nissuer cluster-1\naudience https://app.example",
		payload: func(who person) map[string]any {
			return replaced(claimsOf(who), map[string]any{"iss": "cluster-1", "aud": []string{"https://app.example"}, "email": nil, "sub": who.email, "username": who.email, "roles": []string{"a"}})
		},
		forged: headerPreset{name: "teleport", email: "Teleport-User", also: []string{"X-Teleport-User"}},
	},
}

// rowOf is a preset of headers.
func rowOf(name string) headerPreset {
	return headerPresets[slices.IndexFunc(headerPresets, func(p headerPreset) bool { return p.name == name })]
}

// replaced are members with others in their place; nil takes one away.
func replaced(members, by map[string]any) map[string]any {
	members = maps.Clone(members)
	for name, value := range by {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	return members
}

// plain is what a client may send without a key: the headers of the layer, and
// a token whose signature is nothing.
func (p signedPreset) plain(who person) http.Header {
	h := p.forged.says(who)
	h[p.header] = []string{unsigned(p.payload(who))}
	return h
}

// key is the layer's key, and its id.
func (p signedPreset) key() (crypto.Signer, string) {
	if p.method == jwt.SigningMethodRS256 {
		return theirRSA(), "key-rsa"
	}
	return theirP256(), "key-ec"
}

// attackersKey is a key of the same kind that the layer does not have.
func (p signedPreset) attackersKey() crypto.Signer {
	if p.method == jwt.SigningMethodRS256 {
		return otherRSA()
	}
	return otherP256()
}

// publicSet is a set of public keys.
func publicSet(ec, rsa crypto.Signer) []byte {
	return document(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{KeyID: "key-ec", Key: ec.Public(), Algorithm: "ES256", Use: "sig"}, {KeyID: "key-rsa", Key: rsa.Public(), Algorithm: "RS256", Use: "sig"},
	}})
}

// serveKeys serves the layer's public keys, as a set and one by one.
func serveKeys(t testing.TB, ec, rsa crypto.Signer) string {
	return testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write(publicSet(ec, rsa))
		case "/keys/key-ec":
			_, _ = w.Write(testutil.PublicPEM(ec))
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}) + "/keys"
}

// joseHeader is the header of the layer's tokens.
func (p signedPreset) joseHeader() map[string]any {
	_, kid := p.key()
	h := map[string]any{"alg": p.method.Alg(), "kid": kid, "typ": "JWT"}
	if p.name == "aws_alb" {
		maps.Copy(h, map[string]any{"signer": albARN, "iss": albIssuer, "client": "client-1", "exp": time.Now().Add(time.Minute).Unix()})
	}
	return h
}

// times are the times of a token that is valid now.
func times() map[string]any {
	now := time.Now()
	return map[string]any{"iat": now.Add(-5 * time.Second).Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(time.Minute).Unix()}
}

// asserts is the layer's token about a person.
func (p signedPreset) asserts(who person) string {
	return p.signs(replaced(p.payload(who), times()))
}

// signs is the layer's token with this payload.
func (p signedPreset) signs(payload map[string]any) string {
	key, _ := p.key()
	return p.write(p.method, key, p.joseHeader(), document(payload))
}

// write signs a token as the layer writes them: AWS has padding.
func (p signedPreset) write(method jwt.SigningMethod, key any, header map[string]any, payload []byte) string {
	encoding := base64.RawURLEncoding
	if p.name == "aws_alb" {
		encoding = base64.URLEncoding
	}
	signed := encoding.EncodeToString(document(header)) + "." + encoding.EncodeToString(payload)
	signature, err := method.Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return signed + "." + encoding.EncodeToString(signature)
}

// identity are the options of a site that believes the layer's tokens.
func (p signedPreset) identity(keys string) string {
	return "identity " + p.name + " {\nverify {\n" + strings.ReplaceAll(p.verify, "KEYS", keys) + "\n}\n}\n"
}

// site is a site that believes the layer's tokens, from anyone or with trust.
func (p signedPreset) site(keys, trust string) string {
	return "SITE {\nhuma_token {\nHUMA\n" + p.identity(keys) + trust + "\n}\n}"
}

// only makes a header stand in a request with these values, or without any not
// at all, whatever the case it was written in.
func only(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		maps.DeleteFunc(r.Header, func(key string, _ []string) bool { return strings.EqualFold(key, name) })
		if values != nil {
			r.Header[name] = values
		}
	}
}

// Whatever else a client sends, it is the user whom the assertion names.
func TestSpoofSigned(t *testing.T) {
	keys := serveKeys(t, theirP256(), theirRSA())
	for _, p := range signedPresets {
		t.Run(p.name, func(t *testing.T) {
			first, last := "", ""
			if p.names {
				first, last = ada.first, ada.last
			}
			spoofs := p.forged.spoofs()
			// Somebody else's valid assertion under another name is none, and
			// neither are a cookie and a bearer token.
			stolen, others := p.asserts(mallory), http.Header{}
			for _, alias := range aliases(p.header) {
				others[alias] = []string{stolen}
			}
			for n, portion := range chunks(others) {
				spoofs[fmt.Sprint("an assertion in aliases ", n)] = []func(*http.Request){sends(portion)}
			}
			spoofs["an assertion elsewhere"] = []func(*http.Request){
				header("Authorization", "Bearer "+stolen), header("X-"+p.header, stolen), header("Http-"+p.header, stolen),
				func(r *http.Request) {
					r.AddCookie(&http.Cookie{Name: "CF_Authorization", Value: stolen})
					r.AddCookie(&http.Cookie{Name: p.header, Value: stolen})
				},
			}
			spoofs["an assertion as a trailer"] = []func(*http.Request){posts("client_type=ios", http.Header{p.header: {stolen}})}

			t.Run("from anyone", func(t *testing.T) {
				d, n := open(t, p.site(keys, "")), 0
				for name, edits := range spoofs {
					t.Run(name, func(t *testing.T) {
						n++
						edits := slices.Clip(edits)
						full, plain := fmt.Sprintf("full-%d@x.example", n), fmt.Sprintf("plain-%d@x.example", n)
						d.granted(t, full, path+"?x=1", append(edits, only(p.header, p.asserts(ada.with(full))))...)
						d.named(t, full, first, last)
						d.granted(t, plain, path+"?x=1", append(edits, only(p.header, p.asserts(person{email: plain})))...)
						d.named(t, plain, "", "")
						d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, only(p.header, p.asserts(ada.with(nil))))...)
						d.refused(t, 401, "identity_missing", path+"?x=1", append(edits, only(p.header))...)
						d.onlyTheirs(t, 2)
						d.huma.Reset()
					})
				}
				d.quiet(t, "@x.example", "@evil.example", "Mallory", "Zo", "eyJ")
			})
			t.Run("forward_auth", func(t *testing.T) {
				l, n := newLayer(t), 0
				d := open(t, forwardAuthTrust(l, "copy_headers "+p.header, p.identity(keys), "trust forward_auth "+l.hostport()))
				spoofs := maps.Clone(spoofs)
				spoofs["an assertion of somebody else"] = []func(*http.Request){header(p.header, stolen)}
				spoofs["two assertions"] = []func(*http.Request){header(p.header, stolen), header(p.header, p.asserts(ada))}
				for name, edits := range spoofs {
					t.Run(name, func(t *testing.T) {
						n++
						full := fmt.Sprintf("full-%d@x.example", n)
						l.says(http.Header{p.header: {p.asserts(ada.with(full))}})
						d.granted(t, full, path+"?x=1", edits...)
						d.named(t, full, first, last)
						l.says(p.forged.says(ada)) // without the assertion
						delete(l.header, p.header)
						d.refused(t, 401, "identity_missing", path+"?x=1", edits...)
						l.says(http.Header{p.header: {p.asserts(ada), p.asserts(mallory)}})
						d.refused(t, 401, "identity_invalid", path+"?x=1", edits...) // joined by the placeholder
						d.onlyTheirs(t, 1)
						d.huma.Reset()
					})
				}
			})
			t.Run("proxies", func(t *testing.T) {
				l := newLayer(t)
				d := open(t, p.site(keys, "trust proxies 127.0.0.1"))
				proxied := d.at(l.proxyTo(t, d.URL, append(p.forged.own(), p.header)...).URL)
				l.says(http.Header{p.header: {p.asserts(ada)}})
				proxied.granted(t, "ada@x.example", path, sends(p.plain(mallory)))
				proxied.granted(t, "ada@x.example", path, header(p.header, p.asserts(mallory)))
				l.says(nil)
				proxied.refused(t, 401, "identity_missing", path, header(p.header, p.asserts(mallory)))
				d.onlyTheirs(t, 1)
				// With trust, an assertion is believed from those peers only.
				d = open(t, p.site(keys, "trust proxies 10.0.0.0/8"))
				d.refused(t, 401, "identity_untrusted", path, header(p.header, p.asserts(ada)))
				d.refused(t, 401, "identity_untrusted", path, header(p.header, p.asserts(ada)), header("X-Forwarded-For", "10.0.0.1"))
				d.onlyTheirs(t, 0)
			})
		})
	}
}

// What is no assertion of the layer's is nobody's.
func TestSpoofAssertions(t *testing.T) {
	keys := serveKeys(t, theirP256(), theirRSA())
	attackers := serveKeys(t, otherP256(), otherRSA())
	for _, p := range signedPresets {
		t.Run(p.name, func(t *testing.T) {
			d := open(t, p.site(keys, ""))
			key, kid := p.key()
			token, other := p.asserts(ada), p.asserts(ada.with("bob@x.example"))
			d.granted(t, "ada@x.example", path, header(p.header, token))
			d.granted(t, "bob@x.example", path, header(p.header, other))
			d.granted(t, "ada@x.example", path, header(strings.ToLower(p.header), token))

			// A second line is one too many, whoever it is of.
			for _, second := range []string{other, token, "", "x", unsigned(p.payload(mallory)), "mallory@evil.example"} {
				d.refused(t, 401, "identity_ambiguous", path, header(p.header, token), header(p.header, second))
				d.refused(t, 401, "identity_ambiguous", path, header(p.header, second), header(p.header, token))
				d.refused(t, 401, "identity_ambiguous", path, header(strings.ToLower(p.header), second), header(strings.ToUpper(p.header), token))
			}

			a, b := strings.Split(token, "."), strings.Split(other, ".")
			full := replaced(p.payload(ada), times())
			payload := document(full)
			tampered := base64.RawURLEncoding.EncodeToString(document(replaced(full, map[string]any{"email": "bob@x.example", "sub": "bob@x.example", "username": "bob@x.example"})))
			with := func(more map[string]any) map[string]any { return replaced(p.joseHeader(), more) }
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
				"another kid":                p.write(p.method, key, with(map[string]any{"kid": "key-x"}), payload),
				"its key in it":              p.write(p.method, p.attackersKey(), with(map[string]any{"jwk": jose.JSONWebKey{Key: p.attackersKey().Public(), KeyID: kid}}), payload),
				"where its keys are":         p.write(p.method, p.attackersKey(), with(map[string]any{"jku": attackers, "x5u": attackers}), payload),
				"a kid that is a path":       p.write(p.method, p.attackersKey(), with(map[string]any{"kid": "../keys/key-ec"}), payload),
				"a kid that is a URL":        p.write(p.method, p.attackersKey(), with(map[string]any{"kid": attackers + "/key-ec"}), payload),
				"alg none":                   p.write(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(map[string]any{"alg": "none"}), payload),
				"alg none and its signature": p.write(p.method, key, with(map[string]any{"alg": "none"}), payload),
				"a shared secret":            p.write(jwt.SigningMethodHS256, testutil.PublicPEM(key), with(map[string]any{"alg": "HS256"}), payload),
				"a shared secret, DER":       p.write(jwt.SigningMethodHS256, derOf(testutil.PublicPEM(key)), with(map[string]any{"alg": "HS256"}), payload),
				"a shared secret, as said":   p.write(jwt.SigningMethodHS256, testutil.PublicPEM(key), p.joseHeader(), payload),
				"an extension":               p.write(p.method, key, with(map[string]any{"crit": []string{"b64"}, "b64": false}), payload),
				"an address twice":           p.write(p.method, key, p.joseHeader(), twiceIn(payload)),
				"an address in a list":       p.signs(replaced(full, map[string]any{"email": []string{"ada@x.example", "bob@x.example"}, "username": []string{"ada@x.example", "bob@x.example"}})),
				"a list of addresses":        p.asserts(ada.with("ada@x.example,bob@x.example")),
				"a login":                    p.asserts(ada.with("ada")),
				"a number":                   p.asserts(ada.with(7)),
				"a placeholder":              p.asserts(ada.with("{http.request.host}@x.example")),
				"a display name":             p.asserts(ada.with("Ada <ada@x.example>")),
				"longer than may be":         p.signs(replaced(full, map[string]any{"x": strings.Repeat("x", 16<<10)})),
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
				wrong["another audience"] = map[string]any{"aud": "somebody else"}
				wrong["no audience"] = map[string]any{"aud": nil}
				wrong["an empty audience"] = map[string]any{"aud": []string{}}
			}
			for name, change := range wrong {
				cases[name] = p.signs(replaced(full, change))
			}
			// Keys of the same server that are for something else.
			if p.method == jwt.SigningMethodES256 {
				cases["another algorithm"] = p.write(jwt.SigningMethodRS256, theirRSA(), with(map[string]any{"alg": "RS256", "kid": "key-rsa"}), payload)
			} else if p.name != "teleport" { // which takes both
				cases["another algorithm"] = p.write(jwt.SigningMethodES256, theirP256(), with(map[string]any{"alg": "ES256", "kid": "key-ec"}), payload)
			}
			for _, layer := range signedPresets {
				if layer.name != p.name {
					cases["of "+layer.name] = layer.asserts(ada)
				}
			}
			for name, value := range cases {
				before := len(d.huma.Calls().Calls)
				a := d.request("GET", path, header(p.header, value), sends(p.forged.says(ada)), only(p.header, value))
				if a.StatusCode != 401 || !strings.Contains(string(a.Body), `"identity_invalid"`) {
					t.Errorf("%s: status %d, want 401 identity_invalid: %s", name, a.StatusCode, a.Body)
				}
				d.untouched(t, before)
			}
			for _, value := range []string{"", " ", p.asserts(ada.with(nil)), p.asserts(ada.with("")), p.asserts(ada.with(" "))} {
				d.refused(t, 401, "identity_missing", path, sends(p.forged.says(ada)), only(p.header, value))
			}
			d.refused(t, 403, "email_unverified", path, header(p.header, p.signs(replaced(full, map[string]any{"email_verified": false}))))
			d.refused(t, 403, "email_unverified", path, header(p.header, p.signs(replaced(full, map[string]any{"email_verified": "false"}))))
			d.granted(t, "ada@x.example", path, header(p.header, token)) // still
			d.onlyTheirs(t, 2)
			d.quiet(t, "@x.example", "@evil.example", "eyJ", "id-of")
		})
	}
}

// derOf is what a PEM block holds.
func derOf(text []byte) []byte {
	block, _ := pem.Decode(text)
	return block.Bytes
}

// twiceIn is a document whose address stands there twice.
func twiceIn(doc []byte) []byte {
	return []byte(strings.Replace(string(doc), "{", `{"email":"bob@x.example","username":"bob@x.example","email":"ada@x.example",`, 1))
}

// Names in an assertion come in any script, and out of JSON only.
func TestSignedNames(t *testing.T) {
	keys := serveKeys(t, theirP256(), theirRSA())
	for _, p := range signedPresets {
		t.Run(p.name, func(t *testing.T) {
			d, n := open(t, p.site(keys, "")), 0
			for how, write := range otherwise {
				if how == "Latin-1" {
					continue // JSON is UTF-8
				}
				n++
				email := fmt.Sprintf("named-%d@x.example", n)
				who := person{email: email, name: write("Zoë Ångström")}
				if n%2 == 0 {
					who.first, who.last = write("Zoë"), write("Ångström")
				}
				d.granted(t, email, path, header(p.header, p.asserts(who)))
				if p.names {
					d.named(t, email, "Zoë", "Ångström")
				} else {
					d.named(t, email, "", "")
				}
			}
			d.granted(t, "zoë@exämple.x.example", path, header(p.header, p.asserts(person{email: "zoë@exämple.x.example", name: "张伟"})))
			d.quiet(t, "@x.example", "Zo", "ngstr", "eyJ")
		})
	}
}
