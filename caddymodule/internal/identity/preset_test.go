package identity

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/claims"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// presetWant holds the expected user of each preset, with the sources filled as in the
// examples of the layer's documentation.
var presetWant = map[string]struct {
	filled      map[string]string // by source
	id          string
	first, last string
}{
	"authelia": {
		map[string]string{"Remote-Email": "a@x.io", "Remote-User": "alice", "Remote-Name": "Ren\u00e9 M\u00fcller"},
		"alice", "Ren\u00e9", "M\u00fcller",
	},
	"authentik": {
		map[string]string{"X-Authentik-Email": "a@x.io", "X-Authentik-Uid": "9f86d081", "X-Authentik-Name": "Ren\u00e9 M\u00fcller"},
		"9f86d081", "Ren\u00e9", "M\u00fcller",
	},
	"azure_easy_auth": {
		map[string]string{
			"X-Ms-Client-Principal": b64(`{"auth_typ":"aad","claims":[
				{"typ":"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress","val":"a@x.io"},
				{"typ":"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname","val":"René"},
				{"typ":"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname","val":"Müller"},
				{"typ":"roles","val":"a"},{"typ":"roles","val":"b"}],"name_typ":"name","role_typ":"roles"}`),
			"X-Ms-Client-Principal-Id": "u-1",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"basic_auth": {
		map[string]string{"{http.auth.user.id}": "a@x.io"},
		"a@x.io", "", "",
	},
	"caddy_jwt": {
		map[string]string{
			"{http.auth.user.email}": "a@x.io", "{http.auth.user.id}": "u-1", "{http.auth.user.name}": "Somebody Else",
			"{http.auth.user.given_name}": "Ren\u00e9", "{http.auth.user.family_name}": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"caddy_security": {
		map[string]string{"{http.auth.user.email}": "a@x.io", "{http.auth.user.sub}": "u-1", "{http.auth.user.name}": "Ren\u00e9 M\u00fcller"},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"caddy_tailscale": {
		map[string]string{"{http.auth.user.tailscale_user}": "a@x.io", "{http.auth.user.id}": "u-1", "{http.auth.user.tailscale_name}": "Ren\u00e9 M\u00fcller"},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"cloudflare_access": {
		map[string]string{"Cf-Access-Authenticated-User-Email": "a@x.io", "Cf-Access-Jwt-Assertion": "e30." + b64(`{"sub":"u-1","email":"other@x.io"}`) + ".c2ln"},
		"u-1", "", "",
	},
	"gatekeeper": {
		map[string]string{
			"X-Auth-Email": "a@x.io", "X-Auth-Subject": "u-1", "X-Auth-Name": "Somebody Else",
			"X-Auth-Given-Name": "=?utf-8?b?UmVuw6k=?=", "X-Auth-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"gcp_api_gateway": {
		map[string]string{"X-Apigateway-Api-Userinfo": b64(`{"email":"a@x.io","email_verified":true,"sub":"u-1","given_name":"René","family_name":"Müller"}`)},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"google_iap": {
		map[string]string{"X-Goog-Authenticated-User-Email": "accounts.google.com:a@x.io", "X-Goog-Authenticated-User-Id": "accounts.google.com:1134"},
		"1134", "", "",
	},
	"istio": {
		map[string]string{
			"X-Jwt-Claim-Email": "a@x.io", "X-Jwt-Claim-Sub": "u-1", "X-Jwt-Claim-Name": "Somebody Else",
			"X-Jwt-Claim-Given-Name": "Ren\u00e9", "X-Jwt-Claim-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"oathkeeper": {
		map[string]string{
			"X-User-Email": "a@x.io", "X-User": "0f8b7c1e-1111-4222-8333-444455556666", "X-User-Name": "Somebody Else",
			"X-User-Given-Name": "Ren\u00e9", "X-User-Family-Name": "M\u00fcller",
		},
		"0f8b7c1e-1111-4222-8333-444455556666", "Ren\u00e9", "M\u00fcller",
	},
	"oauth2_proxy": {
		map[string]string{
			"X-Auth-Request-Email": "a@x.io", "X-Auth-Request-User": "u-1",
			"X-Auth-Request-Given-Name": "Ren\u00e9,Ren", "X-Auth-Request-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"oauth2_proxy_upstream": {
		map[string]string{
			"X-Forwarded-Email": "a@x.io", "X-Forwarded-User": "u-1",
			"X-Forwarded-Given-Name": "Ren\u00e9,Ren", "X-Forwarded-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"pomerium": {
		map[string]string{
			"X-Pomerium-Claim-Email": "a@x.io", "X-Pomerium-Claim-Sub": "u-1", "X-Pomerium-Claim-Name": "Ren\u00e9 M\u00fcller",
			"X-Pomerium-Claim-Given-Name": "", "X-Pomerium-Claim-Family-Name": "",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
	},
	"tailscale": {
		map[string]string{"Tailscale-User-Login": "a@x.io", "Tailscale-User-Name": "=?utf-8?q?Ren=C3=A9_M=C3=BCller?="},
		"a@x.io", "Ren\u00e9", "M\u00fcller",
	},
	"vouch": {
		map[string]string{
			"X-Vouch-User": "a@x.io", "X-Vouch-Idp-Claims-Name": "Somebody Else",
			"X-Vouch-Idp-Claims-Given-Name": "Ren\u00e9", "X-Vouch-Idp-Claims-Family-Name": "M\u00fcller",
		},
		"a@x.io", "Ren\u00e9", "M\u00fcller",
	},
}

// signedWant holds the expected user of an assertion.
var signedWant = map[string]struct {
	header      string
	payload     string
	id          string
	first, last string
}{
	"aws_alb":           {"X-Amzn-Oidc-Data", `{"sub":"u-1","email":"a@x.io","email_verified":"true","given_name":"René","family_name":"Müller"}`, "u-1", "Ren\u00e9", "M\u00fcller"},
	"cloudflare_access": {"Cf-Access-Jwt-Assertion", `{"sub":"u-1","email":"a@x.io"}`, "u-1", "", ""},
	"google_iap":        {"X-Goog-Iap-Jwt-Assertion", `{"sub":"accounts.google.com:1134","email":"a@x.io"}`, "1134", "", ""},
	"pomerium":          {"X-Pomerium-Jwt-Assertion", `{"sub":"u-1","email":"a@x.io","name":"René Müller"}`, "u-1", "Ren\u00e9", "M\u00fcller"},
	"teleport":          {"Teleport-Jwt-Assertion", `{"sub":"a@x.io","username":"a@x.io"}`, "a@x.io", "", ""},
	"oathkeeper":        {"Authorization", `{"sub":"0f8b7c1e","email":"a@x.io","email_verified":true}`, "0f8b7c1e", "", ""},

	"auth0":    {"Authorization", `{"sub":"auth0|66b1","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "auth0|66b1", "Ren\u00e9", "M\u00fcller"},
	"clerk":    {"Authorization", `{"sub":"user_2xyz","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "user_2xyz", "Ren\u00e9", "M\u00fcller"},
	"cognito":  {"Authorization", `{"sub":"7c1e","cognito:username":"ada","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "7c1e", "Ren\u00e9", "M\u00fcller"},
	"entra":    {"Authorization", `{"sub":"HKZp","oid":"0d9e","email":"a@x.io","xms_edov":true,"name":"René Müller"}`, "0d9e", "Ren\u00e9", "M\u00fcller"},
	"firebase": {"Authorization", `{"sub":"Zk3a","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "Zk3a", "Ren\u00e9", "M\u00fcller"},
	"keycloak": {"Authorization", `{"sub":"6f1c","preferred_username":"ada","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "6f1c", "Ren\u00e9", "M\u00fcller"},
	"okta":     {"Authorization", `{"sub":"00u1","preferred_username":"b@x.io","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "00u1", "Ren\u00e9", "M\u00fcller"},
	"supabase": {"Authorization", `{"sub":"0f8b","email":"a@x.io","user_metadata":{"email":"b@x.io","name":"René Müller"}}`, "0f8b", "Ren\u00e9", "M\u00fcller"},
	"zitadel":  {"Authorization", `{"sub":"1638","preferred_username":"b@x.io","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "1638", "Ren\u00e9", "M\u00fcller"},
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// payloads is a Verifier that accepts everything, to test the handling of the claims.
type payloads struct{}

func (payloads) Verify(_ context.Context, token, _ string) (claims.Document, error) {
	if token == "forged" {
		return claims.Document{}, ErrAssertionSignature
	}
	return claims.Parse([]byte(token))
}

func TestPresets(t *testing.T) {
	all := presets.All()
	if !slices.IsSortedFunc(all, func(a, b presets.Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not by name")
	}
	all[0].Name = "changed"
	if presets.All()[0].Name == "changed" {
		t.Error("a caller can change the table")
	}
	for _, p := range presets.All() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Note == "" {
				t.Error("a row that says too little")
			}
			_, plain := presetWant[p.Name]
			_, signed := signedWant[p.Name]
			if plain != (p.Sources.Email.From != "") || signed != (p.Signed.Email.From != "") || !plain && !signed {
				t.Fatalf("plain %t, signed %t: not what is tested", plain, signed)
			}
			switch {
			case plain && p.NeedsTrust():
				testHeaderPreset(t, p)
			case plain:
				testPlaceholderPreset(t, p)
			}
			if signed {
				testSignedPreset(t, p)
				return
			}
			_, err := New(Config{Preset: p.Name, Verify: true, Verifier: payloads{}, Trust: trustProxy()})
			wantError(t, err, "verify: the preset "+p.Name, "email Authorization email")
		})
	}
}

func testPlaceholderPreset(t *testing.T, p presets.Preset) {
	want := presetWant[p.Name]
	i := mustNew(t, Config{Preset: p.Name})
	fill := func() placeholders {
		known := placeholders{"http.auth.user.id": ""}
		for source, value := range want.filled {
			known[source[1:len(source)-1]] = value
		}
		return known
	}
	email := strings.Trim(p.Sources.Email.From, "{}")

	if u := wantUser(t, i, withPlaceholders(fill()), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, withPlaceholders(fill()), want.first, want.last)
	wantRejection(t, i, withPlaceholders(nil), ErrNoAuthentication)
	for value, rejection := range map[any]*Rejection{"": ErrEmpty, "alice": ErrNotAddress, "a@x.io,b@x.io": ErrNotAddress, 7: ErrNotText} {
		known := fill()
		known[email] = value
		wantRejection(t, i, withPlaceholders(known), rejection)
	}
	// Headers of the request are not read here.
	r := fromProxy(headersOfAllPresets("")...)
	r.Placeholders, r.TrustedProxy = placeholders(nil), true
	wantRejection(t, i, r, ErrNoAuthentication)
}

// headersOfAllPresets returns the headers that the layers of all presets but one may
// send.
func headersOfAllPresets(but string) (pairs []string) {
	for _, p := range presets.All() {
		if p.Name == but {
			continue
		}
		for _, name := range p.Headers() {
			pairs = append(pairs, name, "evil@x.io")
		}
	}
	return pairs
}

func testHeaderPreset(t *testing.T, p presets.Preset) {
	want := presetWant[p.Name]
	var pairs []string
	for name, value := range want.filled {
		pairs = append(pairs, name, value)
	}
	email := p.Sources.Email.From
	mine := want.filled[email]

	_, err := New(Config{Preset: p.Name})
	wantError(t, err, "email ("+email+")", `"trust forward_auth"`, `"trust proxies <ranges>"`)
	if verify := strings.Contains(err.Error(), "verify {"); verify != (p.Signed.Email.From != "") {
		t.Errorf("verify suggested: %t: %v", verify, err)
	}

	i := mustNew(t, Config{Preset: p.Name, Trust: trustProxy()})
	if u := wantUser(t, i, fromProxy(pairs...), "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, fromProxy(pairs...), want.first, want.last)
	wantRejection(t, i, fromProxy(email, ""), ErrEmpty)
	wantRejection(t, i, fromProxy(email, " "), ErrEmpty)
	wantRejection(t, i, fromProxy(), ErrNoHeader)
	wantRejection(t, i, fromProxy(email, mine, email, mine), ErrDuplicateHeader)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "_"), mine), ErrNoHeader)
	wantRejection(t, i, fromProxy(strings.ReplaceAll(email, "-", "."), mine), ErrNoHeader)
	if p.Sources.Email.Paths == nil {
		wantRejection(t, i, fromProxy(email, mine+", b@x.io"), ErrNotAddress)
	} else {
		wantRejection(t, i, fromProxy(email, "a@x.io"), ErrNotDocument)
		wantRejection(t, i, fromProxy(email, b64(`{}`)), ErrNoClaim)
	}
	stranger := fromProxy(pairs...)
	stranger.RemoteAddr = untrustedPeer
	wantRejection(t, i, stranger, ErrUntrustedPeer)
	others := headersOfAllPresets(p.Name) // not read: a preset reads no header of another one
	for n := 0; n < len(others); n += 2 {
		if others[n] != email {
			wantRejection(t, i, fromProxy(others[n], "evil@x.io"), ErrNoHeader)
		}
	}

	forwardAuth := mustNew(t, Config{Preset: p.Name, Trust: Trust{Mode: TrustForwardAuth}})
	r := fromProxy(email, "evil@x.io")
	r.Placeholders = respondedBy("auth:9000", pairs...)
	if u := wantUser(t, forwardAuth, r, "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, forwardAuth, r, want.first, want.last)
	r = fromProxy(email, "evil@x.io")
	r.Placeholders = respondedBy("auth:9000")
	wantRejection(t, forwardAuth, r, ErrNoResponseHeader)
}

// signedConfig returns a config with which a preset reads tokens.
func signedConfig(p presets.Preset) Config {
	c := Config{Preset: p.Name, Verify: true, Verifier: payloads{}}
	if p.Provider != nil && p.StatesNothing() {
		c.Verified = "assumed"
	}
	return c
}

func testSignedPreset(t *testing.T, p presets.Preset) {
	want := signedWant[p.Name]
	verified := signedConfig(p)
	i := mustNew(t, verified)
	request := func(values ...string) *Request {
		r := fromProxy(headersOfAllPresets(p.Name)...) // not read here
		for _, v := range values {
			r.Header.Add(want.header, v)
		}
		r.RemoteAddr = untrustedPeer // accepted from any peer
		return r
	}
	r := request(want.payload)
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != want.id {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, want.first, want.last)
	wantNames(t, i, request(want.payload), want.first, want.last)
	wantRejection(t, i, request(), ErrNoHeader)
	wantRejection(t, i, request(""), ErrEmpty)
	wantRejection(t, i, request("forged"), ErrAssertionSignature)
	wantRejection(t, i, request(want.payload, want.payload), ErrDuplicateHeader)
	wantRejection(t, i, request(`{"aud":"me"}`), ErrNoClaim)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, "a@x.io", "")), ErrEmpty)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, `"a@x.io"`, "7")), ErrNotText)
	wantRejection(t, i, request(strings.ReplaceAll(want.payload, "{", `{"email_verified":false,"emailVerified":false,`)), firstRejection(want.payload))
	// The plain headers that the layer sends in addition are not trusted.
	plain := request()
	for source, value := range presetWant[p.Name].filled {
		if source != want.header {
			plain.Header.Set(source, value)
		}
	}
	wantRejection(t, i, plain, ErrNoHeader)

	if p.Sources.Email.From == "" && p.Provider == nil {
		_, err := New(Config{Preset: p.Name, Trust: trustProxy()})
		wantError(t, err, "identity: the preset "+p.Name, "verify { … }", map[string]string{"aws_alb": "with signer", "teleport": "with jwks, issuer, audience"}[p.Name])
	}
	// With trust proxies the assertion must also come from a proxy.
	verified.Trust = trustProxy()
	wantRejection(t, mustNew(t, verified), request(want.payload), ErrUntrustedPeer)
	// With trust forward_auth the assertion is read from the auth server's response.
	verified.Trust = Trust{Mode: TrustForwardAuth}
	forwardAuth := mustNew(t, verified)
	r = request(`{"email":"evil@x.io"}`)
	r.Placeholders = respondedBy("auth:9000", want.header, want.payload)
	wantUser(t, forwardAuth, r, "a@x.io")
	r = request(want.payload)
	r.Placeholders = respondedBy("auth:9000")
	wantRejection(t, forwardAuth, r, ErrNoResponseHeader)
}

// firstRejection returns the rejection of a payload to which email_verified is added:
// if the payload has that member already, it is a duplicate and cannot be parsed.
func firstRejection(payload string) *Rejection {
	if strings.Contains(payload, "email_verified") {
		return ErrAssertionMalformed
	}
	return ErrEmailDenied
}

func TestConfiguredSourceWinsOverPreset(t *testing.T) {
	i := mustNew(t, Config{Preset: "basic_auth", Email: "{user_email}", Name: "{user_name}"})
	r := withPlaceholders(placeholders{"http.auth.user.id": "alice", "user_email": "a@x.io", "user_name": "Alice Miller"})
	if u := wantUser(t, i, r, "a@x.io"); u.ID.Reveal() != "alice" {
		t.Fatalf("id %q", u.ID.Reveal())
	}
	wantNames(t, i, r, "Alice", "Miller")
	// No source replaces another one.
	wantRejection(t, i, withPlaceholders(placeholders{"http.auth.user.id": "a@x.io"}), ErrUnset)
}

// A login at an identity provider is not an address, whatever it looks like.
func TestPresetLogins(t *testing.T) {
	for _, login := range []string{"alice@github", "alice@passkey"} {
		wantRejection(t, mustNew(t, Config{Preset: "tailscale", Trust: trustProxy()}), fromProxy("Tailscale-User-Login", login), ErrNotAddress)
		wantRejection(t, mustNew(t, Config{Preset: "caddy_tailscale"}), withPlaceholders(placeholders{"http.auth.user.tailscale_user": login}), ErrNotAddress)
	}
	wantUser(t, mustNew(t, Config{Preset: "authelia", Trust: trustProxy()}), fromProxy("Remote-Email", "root@localhost"), "root@localhost")
	wantUser(t, mustNew(t, Config{Preset: "tailscale", Email: "Remote-Email", Trust: trustProxy()}), fromProxy("Remote-Email", "root@localhost"), "root@localhost")
}

func TestVerifyNeedsAnAssertion(t *testing.T) {
	trust := trustProxy()
	for _, tt := range []struct {
		name   string
		config Config
		parts  []string
	}{
		{"a plain header", Config{Email: "X-Email"}, []string{"email: ", "email Authorization email"}},
		{"a placeholder", Config{Email: "{user_email}"}, []string{"email: ", "email Authorization email"}},
		{"two assertions", Config{Email: "X-A email", UserID: "X-B sub"}, []string{"user_id: ", "another assertion"}},
		{"a plain name", Config{Email: "X-A email", Name: "X-Name"}, []string{"name (X-Name)", "trust"}},
		{"a broken path", Config{Email: "X-A a..b"}, []string{"email: ", "path"}},
		{"a dropped one", Config{Email: "X_A email"}, []string{"email: ", "expected_underscore_headers"}},
		{"a plain cookie", Config{Email: "{http.request.cookie.session}"}, []string{"email: ", "email Authorization email"}},
		{"two cookies", Config{Email: "{http.request.cookie.a} email", UserID: "{http.request.cookie.b} sub"}, []string{"user_id: ", "another assertion"}},
		{"none whatsoever", Config{}, []string{"email: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Verify, tt.config.Verifier = true, payloads{}
			_, err := New(tt.config)
			wantError(t, err, tt.parts...)
		})
	}
	// A source next to the assertion is subject to its own trust rules.
	i := mustNew(t, Config{Email: "Authorization user.email", Name: "X-Name", Verify: true, Verifier: payloads{}, Trust: trust})
	r := fromProxy("Authorization", `{"user":{"email":"a@x.io"}}`, "X-Name", "Alice Miller")
	wantUser(t, i, r, "a@x.io")
	wantNames(t, i, r, "Alice", "Miller")
}
