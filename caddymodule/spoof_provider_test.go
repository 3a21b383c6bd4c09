package caddymodule_test

import (
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity/presets"
)

// providerPreset returns the preset of an identity provider for the tests of spoofing.
// claims holds claims of its tokens that do not depend on the person.
func providerPreset(name string, method jwt.SigningMethod, lines string, claims map[string]any) signedPreset {
	return signedPreset{
		name: name, header: "Authorization", method: method, names: true,
		verify: "jwks KEYS\n" + lines,
		payload: func(who person) map[string]any {
			return replaceMembers(replaceMembers(claimsOf(who), map[string]any{"email_verified": true}), claims)
		},
		// A provider has no headers; these are invented.
		forged: headerPreset{name: name, email: "X-User-Email", also: []string{"X-User"}},
	}
}

// signedProviders holds the presets of identity providers.
var signedProviders = []signedPreset{
	providerPreset("auth0", jwt.SigningMethodRS256, "domain clinic.eu.auth0.com\naudience https://api.example", map[string]any{
		"iss": "https://clinic.eu.auth0.com/", "aud": []string{"https://api.example"}, "azp": "client-1",
	}),
	providerPreset("clerk", jwt.SigningMethodRS256, "domain clerk.clinic.example\naudience https://api.example", map[string]any{
		"iss": "https://clerk.clinic.example", "aud": "https://api.example", "azp": "https://app.clinic.example", "sts": "active",
	}),
	providerPreset("cognito", jwt.SigningMethodRS256, "user_pool eu-central-1_AbC123\naudience client-1", map[string]any{
		"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC123", "aud": "client-1", "token_use": "id",
	}),
	withEntraID(providerPreset("entra", jwt.SigningMethodRS256, "tenant "+entraTenant+"\naudience aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", map[string]any{
		"iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "aud": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "scp": "access", "xms_edov": true,
		"preferred_username": nil, "email_verified": nil,
	})),
	providerPreset("firebase", jwt.SigningMethodRS256, "project clinic-1", map[string]any{
		"iss": "https://securetoken.google.com/clinic-1", "aud": "clinic-1", "firebase": map[string]any{"sign_in_provider": "password"},
	}),
	providerPreset("keycloak", jwt.SigningMethodRS256, "issuer https://sso.example/realms/clinic\naudience clinic-api", map[string]any{
		"iss": "https://sso.example/realms/clinic", "aud": []string{"account", "clinic-api"}, "azp": "clinic-app", "typ": "Bearer",
	}),
	providerPreset("okta", jwt.SigningMethodRS256, "domain clinic.okta.com\naudience client-1", map[string]any{
		"iss": "https://clinic.okta.com", "aud": "client-1", "jti": "ID.1",
	}),
	withSupabaseMetadata(providerPreset("supabase", jwt.SigningMethodES256, "project abcdefghijklmnopqrst\nverified assumed", map[string]any{
		"iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "aud": "authenticated", "is_anonymous": false, "email_verified": nil,
	})),
	providerPreset("zitadel", jwt.SigningMethodRS256, "domain clinic.zitadel.cloud\naudience project-1", map[string]any{
		"iss": "https://clinic.zitadel.cloud", "aud": []string{"client-1", "project-1"},
	}),
}

// withEntraID returns p with the user's ID in oid; sub differs between applications.
func withEntraID(p signedPreset) signedPreset {
	payload := p.payload
	p.payload = func(who person) map[string]any {
		return replaceMembers(payload(who), map[string]any{"oid": who.id, "sub": "of-this-application"})
	}
	return p
}

// withSupabaseMetadata returns p with the user's name and another address in
// user_metadata.
func withSupabaseMetadata(p signedPreset) signedPreset {
	payload := p.payload
	p.payload = func(who person) map[string]any {
		all := payload(who)
		metadata := map[string]any{"email": "also@x.example", "email_verified": true}
		if name, ok := all["name"]; ok {
			metadata["full_name"] = name
		}
		return replaceMembers(all, map[string]any{"name": nil, "given_name": nil, "family_name": nil, "user_metadata": metadata})
	}
	return p
}

// acceptsBoth reports whether a preset accepts RS256 and ES256.
func acceptsBoth(preset string) bool {
	row, _ := presets.Find(preset)
	all := row.Verify.Algorithms
	return all == nil || slices.Contains(all, "RS256") && slices.Contains(all, "ES256")
}
