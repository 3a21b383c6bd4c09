package caddymodule_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/caddymodule/sandbox"
)

// tokenOfProvider returns the token of a preset.
func tokenOfProvider(t testing.TB, preset string) providerToken {
	t.Helper()
	i := slices.IndexFunc(providerTokens, func(p providerToken) bool { return p.preset == preset })
	if i < 0 {
		t.Fatalf("%s has no token", preset)
	}
	return providerTokens[i]
}

// extendIdentity adds lines to the block of an identity.
func extendIdentity(identity, lines string) string {
	return strings.TrimSuffix(identity, "}\n") + lines + "\n}\n"
}

// TestVerifiedWords checks that verified assumed accepts tokens without the claim, and
// that verified off also accepts tokens with a denial.
func TestVerifiedWords(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	for _, p := range providerTokens {
		if p.preset == "oathkeeper" {
			continue
		}
		identity := strings.ReplaceAll(identityOf(t, p.preset, keys), "verified assumed", "")
		verified := p.verified
		if verified == "" {
			verified = "email_verified"
		}
		t.Run(p.preset, func(t *testing.T) {
			d := open(t, "SITE {\nhuma_token /assumed {\nHUMA\n"+extendIdentity(identity, "verified assumed")+"}\nhuma_token /off {\nHUMA\n"+extendIdentity(identity, "verified off")+"}\n}")
			withVerified := func(value any) func(*http.Request) {
				return header("Authorization", "Bearer "+p.with(map[string]any{verified: value}))
			}
			for _, value := range []any{nil, true, "true", 1} {
				d.wantTokenOf(t, adaAddress, "/assumed", withVerified(value))
				d.wantTokenOf(t, adaAddress, "/off", withVerified(value))
			}
			for _, no := range []any{false, "false", 0, "", "no"} {
				d.wantRejection(t, 403, "email_unverified", "/assumed", withVerified(no))
				d.wantTokenOf(t, adaAddress, "/off", withVerified(no))
			}
			for name, wrong := range p.wrongTokens() {
				for _, at := range []string{"/assumed", "/off"} {
					if wrong.code == "identity_invalid" {
						d.wantRejection(t, 401, wrong.code, at, header("Authorization", "Bearer "+p.with(wrong.claims)))
					}
				}
				if t.Failed() {
					t.Fatal(name)
				}
			}
			d.notLogged(t, "@clinic.example", "eyJ")
		})
	}
}

// TestEntraDomains checks that without xms_edov and the option domains only the login is
// used.
func TestEntraDomains(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	p := tokenOfProvider(t, "entra")
	identity := strings.ReplaceAll(identityOf(t, "entra", keys), "domains clinic.example", "")
	d := open(t, "SITE {\nhuma_token {\nHUMA\n"+identity+"}\nhuma_token /assumed {\nHUMA\n"+extendIdentity(identity, "verified assumed")+"}\n}")
	token := func(changes map[string]any) func(*http.Request) {
		return header("Authorization", "Bearer "+p.with(changes))
	}
	d.wantTokenOf(t, adaAddress, path, token(nil))
	d.wantTokenOf(t, adaAddress, path, token(map[string]any{"email": "mallory@evil.example", "xms_edov": nil, "upn": adaAddress}))
	d.wantRejection(t, 403, "email_unverified", path, token(map[string]any{"xms_edov": nil}))
	d.wantRejection(t, 403, "email_unverified", path, token(map[string]any{"xms_edov": false}))
	d.wantRejection(t, 403, "email_unverified", path, token(map[string]any{"email_verified": false}))
	d.wantRejection(t, 401, "identity_missing", path, token(map[string]any{"email": nil}))
	d.wantTokenOf(t, "other@else.example", "/assumed", token(map[string]any{"email": "other@else.example", "xms_edov": nil, "upn": adaAddress}))
	d.wantTokenOf(t, adaAddress, "/assumed", token(map[string]any{"email": "other@else.example", "xms_edov": false, "upn": adaAddress}))

	// An application without a user has no address, but an ID.
	s := serve(t, "SITE {\nhuman_api_token {\n"+humanAPIToken.credentials(newHuma(t, sandbox.Config{}))+identity+"}\n}")
	s.request("GET", humanAPIToken.path, token(map[string]any{"email": nil})).problem(t, 401, "identity_missing")
	humanAPIToken.token(t, s.request("GET", humanAPIToken.path, token(nil)))
}

// TestProviderSources checks custom sources, in the provider's token and in a cookie.
func TestProviderSources(t *testing.T) {
	keys := serveKeys(t, layerP256(), layerRSA())
	auth0 := extendIdentity(identityOf(t, "auth0", keys), `email Authorization https://clinic\.example/email
		verified Authorization https://clinic\.example/email_verified
		name Authorization https://clinic\.example/name`)
	clerk := extendIdentity(identityOf(t, "clerk", keys), `email {http.request.cookie.__session} email
		user_id {http.request.cookie.__session} sub
		name {http.request.cookie.__session} name
		first_name {http.request.cookie.__session} given_name
		last_name {http.request.cookie.__session} family_name
		verified {http.request.cookie.__session} email_verified`)
	supabase := extendIdentity(strings.ReplaceAll(identityOf(t, "supabase", keys), "verified assumed", ""), "verified Authorization email_confirmed")
	d := open(t, "SITE {\nhuma_token /auth0 {\nHUMA\n"+auth0+"}\nhuma_token /clerk {\nHUMA\n"+clerk+"}\nhuma_token /supabase {\nHUMA\n"+supabase+"}\n}")
	bearer := func(preset string, changes map[string]any) func(*http.Request) {
		return header("Authorization", "Bearer "+tokenOfProvider(t, preset).with(changes))
	}
	namespaced := func(verified any) map[string]any {
		return map[string]any{"email": nil, "email_verified": nil, "https://clinic.example/email": adaAddress, "https://clinic.example/email_verified": verified, "https://clinic.example/name": "Zoë Ångström"}
	}
	d.wantTokenOf(t, adaAddress, "/auth0", bearer("auth0", namespaced(true)))
	d.wantRejection(t, 403, "email_unverified", "/auth0", bearer("auth0", namespaced(false)))
	d.wantRejection(t, 403, "email_unverified", "/auth0", bearer("auth0", namespaced(nil)))
	d.wantRejection(t, 401, "identity_missing", "/auth0", bearer("auth0", nil))

	session := func(changes map[string]any) func(*http.Request) {
		return func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: "__session", Value: tokenOfProvider(t, "clerk").with(changes)})
		}
	}
	d.wantTokenOf(t, adaAddress, "/clerk", session(nil))
	d.wantRejection(t, 403, "email_unverified", "/clerk", session(map[string]any{"email_verified": false}))
	d.wantRejection(t, 401, "identity_missing", "/clerk", bearer("clerk", nil))

	d.wantTokenOf(t, adaAddress, "/supabase", bearer("supabase", map[string]any{"email_confirmed": true}))
	d.wantRejection(t, 403, "email_unverified", "/supabase", bearer("supabase", nil))
}

// TestProviderProblems checks that each config has one error, with the option and a fix.
func TestProviderProblems(t *testing.T) {
	for _, c := range []struct {
		name, identity, option string
		withVerified           []string
	}{
		{"nothing", "identity firebase", "project:", []string{`"project clinic-1"`}},
		{"an empty block", "identity clerk {\n}", "domain:", []string{`"domain clerk.clinic.example"`}},
		{"a variable", "identity firebase {\nproject {env.HUMA_TEST_UNSET}\n}", "project:", []string{"HUMA_TEST_UNSET is not set"}},
		{"a key server over http", "identity keycloak {\nissuer http://sso.example/realms/a\nrequire azp a\n}", "issuer:", []string{"must use https"}},
		{"discovery over http", "identity okta {\nissuer http://okta.example/oauth2/default\naudience a\n}", "issuer:", []string{"must use https"}},
		{"keys over http", "identity firebase {\nproject clinic-1\njwks http://keys.example\n}", "jwks:", []string{"must use https"}},
		{"no file", "identity firebase {\nproject clinic-1\nca /nonexistent/ca.pem\n}", "ca:", nil},
		{"a claim that names no application", "identity keycloak {\nissuer https://sso.example/realms/a\nrequire groups a\n}", "audience:", []string{"require azp clinic-app"}},
		{"supabase, no statement", "identity supabase {\nproject abcdefghijklmnopqrst\n}", "verified:", []string{"does not say", "verified assumed"}},
		{"supabase, of users", "identity supabase {\nproject abcdefghijklmnopqrst\nverified Authorization user_metadata.email_verified\n}", "verified:", []string{"user_metadata", "users can write"}},
		{"supabase, an address of users", "identity supabase {\nproject abcdefghijklmnopqrst\nemail Authorization user_metadata.email\nverified assumed\n}", "email:", []string{"user_metadata"}},
		{"clerk, of users", "identity clerk {\ndomain clerk.clinic.example\nverified Authorization public.unsafe_metadata.verified\n}", "verified:", []string{"unsafe_metadata"}},
		{"clerk, an ID of users", "identity clerk {\ndomain clerk.clinic.example\nuser_id Authorization unsafe_metadata.id\n}", "user_id:", []string{"unsafe_metadata"}},
		{"an address alone", "identity keycloak {\nissuer https://sso.example/realms/a\nrequire azp a\nemail Authorization preferred_username\n}", "verified:", []string{"is required with email", "verified <source>"}},
		{"entra, an address alone", "identity entra {\ntenant 11111111-2222-3333-4444-555555555555\naudience aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb\nemail Authorization email\n}", "verified:", []string{"is required with email"}},
		{"a word with a layer", "identity basic_auth {\nverified assumed\n}", "verified:", []string{"assumed is valid only with presets that demand", "auth0, clerk"}},
		{"a word without a preset", "identity {\nemail {user_email}\nuser_id {user_id}\nverified off\n}", "verified:", []string{"off is valid only"}},
		{"another header", "identity firebase {\nproject clinic-1\nname X-Token name\n}", "name:", []string{"same signed assertion"}},
		{"an auth server", "identity firebase {\nproject clinic-1\nauth_server http://auth:9000\n}", "auth_server:", []string{"cannot be combined with the preset firebase"}},
		{"a domain in verify", "identity google_iap {\nverify {\naudience a\ndomain clinic.example\n}\n}", "domain:", []string{"presets auth0, clerk"}},
		{"entra, the URI of the API", "identity entra {\ntenant 11111111-2222-3333-4444-555555555555\naudience api://clinic\n}", "audience:", []string{`"api://clinic" is not a GUID`, "the application (client) ID"}},
		{"entra, a claim of version 1", "identity entra {\ntenant 11111111-2222-3333-4444-555555555555\nrequire appid a\n}", "require:", []string{"no token with this claim appid", "application (client) ID"}},
		{"okta, an access token's audience", "identity okta {\ndomain clinic.okta.com\naudience api://default\n}", "audience:", []string{`"api://default" is a URI`, "0oaexample1"}},
		{"okta, an access token's claim", "identity okta {\ndomain clinic.okta.com\nrequire cid a\n}", "require:", []string{"no token with this claim cid", "0oaexample1"}},
		{"cognito, an access token's claim", "identity cognito {\nuser_pool eu-central-1_AbC123\nrequire client_id a\n}", "require:", []string{"no token with this claim client_id", "4exampleclientid"}},
		{"cognito, another kind of token", "identity cognito {\nuser_pool eu-central-1_AbC123\naudience a\nrequire token_use access\n}", "require:", []string{"token_use", "remove it"}},
		{"keycloak, an ID token", "identity keycloak {\nissuer https://sso.example/realms/a\nrequire azp a\nrequire typ ID\n}", "require:", []string{"typ", "remove it"}},
		{"clerk, another session", "identity clerk {\ndomain clerk.clinic.example\nrequire sts pending\n}", "require:", []string{"sts", "remove it"}},
		{"keycloak, an audience of every client", "identity keycloak {\nissuer https://sso.example/realms/a\naudience clinic-api account\n}", "audience:", []string{"account is the audience of every application", "require azp clinic-app"}},
		{"auth0, an audience of every API", "identity auth0 {\ndomain clinic.eu.auth0.com\naudience https://clinic.eu.auth0.com/userinfo\n}", "audience:", []string{"the audience of every application", "audience https://api.clinic.example"}},
		{"zitadel, a URI", "identity zitadel {\ndomain a.zitadel.cloud\naudience urn:zitadel:iam\n}", "audience:", []string{"is a URI"}},
		{"oathkeeper, no keys", "identity oathkeeper {\nverify {\nissuer https://o.example/\naudience a\n}\n}", "jwks:", []string{"http://oathkeeper:4456/.well-known/jwks.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range bothDirectives {
				wantProblem(t, validateText(t, d.lines(c.identity)), c.option, c.withVerified...)
			}
		})
	}
	for name, identity := range map[string]string{
		"with trust":       "identity firebase {\nproject clinic-1\n}\ntrust proxies 10.0.0.0/8",
		"a variable":       "identity firebase {\nproject clinic-{env.HUMA_TEST_NUMBER}\n}",
		"a preset of one":  "identity {env.HUMA_TEST_PRESET} {\nproject clinic-1\n}",
		"demanded values":  "identity keycloak {\nissuer https://sso.example/realms/a\nrequire azp a\nrequire typ Bearer DPoP\n}",
		"a refused value":  "identity clerk {\ndomain clerk.clinic.example\nrequire sts active pending\n}",
		"account and azp":  "identity keycloak {\nissuer https://sso.example/realms/a\naudience account\nrequire azp a\n}",
		"a capital GUID":   "identity entra {\ntenant 11111111-2222-3333-4444-555555555555\naudience AAAAAAAA-0000-1111-2222-BBBBBBBBBBBB\n}",
		"verified off":     "identity supabase {\nproject abcdefghijklmnopqrst\nverified off\n}",
		"verified, a hook": "identity supabase {\nproject abcdefghijklmnopqrst\nverified Authorization email_confirmed\n}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HUMA_TEST_NUMBER", "17")
			t.Setenv("HUMA_TEST_PRESET", "firebase")
			for _, d := range bothDirectives {
				if err := validateText(t, d.lines(identity)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
