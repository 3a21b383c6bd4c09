package caddymodule_test

import (
	"crypto"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// The following are the IDs of the keys on the key servers. The IDs of AWS are UUIDs.
const (
	kidEC  = "7d0f3f6a-2d7b-4c11-8a53-0d6f6b1c9e01"
	kidRSA = "7d0f3f6a-2d7b-4c11-8a53-0d6f6b1c9e02"
)

// signedPreset describes a layer that sends signed assertions.
type signedPreset struct {
	name, header string
	method       jwt.SigningMethod
	// verify holds the options in the block verify. KEYS is replaced by the URL of the
	// public keys.
	verify string
	// payload returns the claims of a token, without its times.
	payload func(person) map[string]any
	// names reports whether payload contains names.
	names bool
	// forged describes the unsigned headers of the layer, which an attacker may send.
	forged headerPreset
	// also lists those of them that are not in headerPresets.
	also []string
}

const (
	albARN    = "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/site/50dc6c495c0c9188"
	albIssuer = "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_x"
)

// signedPresets holds the authentication layers that send signed assertions, and one
// identity provider: the tokens of all providers are in the header Authorization, and
// providerTokens holds them.
var signedPresets = []signedPreset{
	{
		name: "aws_alb", header: "X-Amzn-Oidc-Data", method: jwt.SigningMethodES256, names: true,
		verify: "jwks KEYS\nsigner " + albARN + "\nissuer " + albIssuer + "\naudience client-1",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": albIssuer, "username": who.id})
		},
		forged: headerPreset{name: "aws_alb", email: "X-Amzn-Oidc-Identity", also: []string{"X-Amzn-Oidc-Accesstoken"}},
		also:   []string{"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken"},
	},
	{
		name: "cloudflare_access", header: "Cf-Access-Jwt-Assertion", method: jwt.SigningMethodRS256,
		verify: "jwks KEYS\nissuer https://team.cloudflareaccess.com\naudience tag-1",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "https://team.cloudflareaccess.com", "aud": []string{"tag-1"}, "type": "app", "country": "NL"})
		},
		forged: headerPresetOf("cloudflare_access"),
	},
	{
		name: "firebase", header: "Authorization", method: jwt.SigningMethodRS256, names: true,
		verify: "jwks KEYS\nproject clinic-1",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "https://securetoken.google.com/clinic-1", "aud": "clinic-1", "email_verified": true, "firebase": map[string]any{"sign_in_provider": "password"}})
		},
		forged: headerPreset{name: "firebase", email: "X-User-Email", also: []string{"X-User"}}, // a provider has no headers; these are invented
	},
	{
		name: "google_iap", header: "X-Goog-Iap-Jwt-Assertion", method: jwt.SigningMethodES256,
		verify: "jwks KEYS\naudience /projects/1/apps/site",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "https://cloud.google.com/iap", "aud": "/projects/1/apps/site", "sub": "accounts.google.com:" + who.id, "hd": "x.example"})
		},
		forged: headerPresetOf("google_iap"),
	},
	{
		name: "oathkeeper", header: "Authorization", method: jwt.SigningMethodRS256, names: true,
		verify: "jwks KEYS\nissuer https://oathkeeper.example/\naudience https://api.example",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "https://oathkeeper.example/", "aud": []string{"https://api.example"}})
		},
		forged: headerPresetOf("oathkeeper"),
	},
	{
		name: "pomerium", header: "X-Pomerium-Jwt-Assertion", method: jwt.SigningMethodES256, names: true,
		verify: "jwks KEYS\naudience route.example",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "route.example", "aud": "route.example", "groups": []string{"a"}})
		},
		forged: headerPresetOf("pomerium"),
	},
	{
		name: "teleport", header: "Teleport-Jwt-Assertion", method: jwt.SigningMethodRS256,
		verify: "jwks KEYS\nissuer cluster-1\naudience https://app.example",
		payload: func(who person) map[string]any {
			return replaceMembers(claimsOf(who), map[string]any{"iss": "cluster-1", "aud": []string{"https://app.example"}, "email": nil, "sub": who.email, "username": who.email, "roles": []string{"a"}})
		},
		forged: headerPreset{name: "teleport", email: "Teleport-User", also: []string{"X-Teleport-User"}},
	},
}

// signedPresetOf returns the signed preset with the given name.
func signedPresetOf(name string) signedPreset {
	return signedPresets[slices.IndexFunc(signedPresets, func(p signedPreset) bool { return p.name == name })]
}

// headerPresetOf returns the header preset with the given name.
func headerPresetOf(name string) headerPreset {
	return headerPresets[slices.IndexFunc(headerPresets, func(p headerPreset) bool { return p.name == name })]
}

// replaceMembers returns members with the values in by; nil removes a member.
func replaceMembers(members, by map[string]any) map[string]any {
	members = maps.Clone(members)
	for name, value := range by {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	return members
}

// plain returns headers that a client can send without a key: those of the layer, and a
// token with an invalid signature.
func (p signedPreset) plain(who person) http.Header {
	h := p.forged.headers(who)
	h[p.header] = []string{unsigned(p.payload(who))}
	return h
}

// key returns the layer's key and its ID.
func (p signedPreset) key() (crypto.Signer, string) {
	if p.method == jwt.SigningMethodRS256 {
		return layerRSA(), kidRSA
	}
	return layerP256(), kidEC
}

// attackersKey returns a key of the same kind that the layer does not have.
func (p signedPreset) attackersKey() crypto.Signer {
	if p.method == jwt.SigningMethodRS256 {
		return otherRSA()
	}
	return otherP256()
}

// publicSet returns a JWKS.
func publicSet(ec, rsa crypto.Signer) []byte {
	return document(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{KeyID: kidEC, Key: ec.Public(), Algorithm: "ES256", Use: "sig"}, {KeyID: kidRSA, Key: rsa.Public(), Algorithm: "RS256", Use: "sig"},
	}})
}

// serveKeys serves the layer's public keys, as a JWKS and one by one.
func serveKeys(t testing.TB, ec, rsa crypto.Signer) string {
	return testutil.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write(publicSet(ec, rsa))
		case "/keys/" + kidEC:
			_, _ = w.Write(testutil.PublicPEM(ec))
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}) + "/keys"
}

// joseHeader returns the JOSE header of the layer's tokens.
func (p signedPreset) joseHeader() map[string]any {
	_, kid := p.key()
	h := map[string]any{"alg": p.method.Alg(), "kid": kid, "typ": "JWT"}
	if p.name == "aws_alb" {
		maps.Copy(h, map[string]any{"signer": albARN, "iss": albIssuer, "client": "client-1", "exp": time.Now().Add(time.Minute).Unix()})
	}
	return h
}

// tokenTimes returns the time claims of a token that is valid now.
func tokenTimes() map[string]any {
	now := time.Now()
	return map[string]any{"iat": now.Add(-5 * time.Second).Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(time.Minute).Unix()}
}

// tokenFor returns the layer's token for a person.
func (p signedPreset) tokenFor(who person) string {
	return p.sign(replaceMembers(p.payload(who), tokenTimes()))
}

// tokensFor returns tokenFor with a cache, since signing takes time.
func (p signedPreset) tokensFor() func(person) string {
	type signed struct {
		token string
		at    time.Time
	}
	tokens := make(map[person]signed)
	return func(who person) string {
		if time.Since(tokens[who].at) > 20*time.Second { // they expire after a minute
			tokens[who] = signed{p.tokenFor(who), time.Now()}
		}
		return tokens[who].token
	}
}

// sign returns the layer's token with the given payload.
func (p signedPreset) sign(payload map[string]any) string {
	key, _ := p.key()
	return p.write(p.method, key, p.joseHeader(), document(payload))
}

// write signs a token in the layer's encoding: AWS uses padding.
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

// identity returns the options of a site that accepts the layer's tokens.
func (p signedPreset) identity(keys string) string {
	if row, _ := presets.Find(p.name); row.Provider != nil {
		return "identity " + p.name + " {\n" + strings.ReplaceAll(p.verify, "KEYS", keys) + "\n}\n"
	}
	return "identity " + p.name + " {\nverify {\n" + strings.ReplaceAll(p.verify, "KEYS", keys) + "\n}\n}\n"
}

// site returns a site that accepts the layer's tokens, from any peer or with trust.
func (p signedPreset) site(keys, trust string) string {
	return "SITE {\nhuma_token {\nHUMA\n" + p.identity(keys) + trust + "\n}\n}"
}

// acceptsBoth reports whether a preset accepts RS256 and ES256.
func acceptsBoth(preset string) bool {
	row, _ := presets.Find(preset)
	all := row.Verify.Algorithms
	return all == nil || slices.Contains(all, "RS256") && slices.Contains(all, "ES256")
}

// setOnly returns an edit that replaces all spellings of a header by the given values.
// Without values, it removes them.
func setOnly(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		maps.DeleteFunc(r.Header, func(key string, _ []string) bool { return strings.EqualFold(key, name) })
		if values != nil {
			r.Header[name] = values
		}
	}
}
