package caddymodule_test

import (
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// providerToken describes the token that an identity provider issues for Ada, whose
// address is ada@clinic.example, to an app that is configured as in testdata/presets.
type providerToken struct {
	preset string
	method jwt.SigningMethod
	// header holds the members of the JOSE header other than alg and kid.
	header map[string]any
	// claims holds the claims of the token, except its times.
	claims map[string]any
	// lifetime is the lifetime of the token.
	lifetime time.Duration
	// id is the user's ID.
	id string
	// first and last are the names that Huma receives.
	first, last string
	// verified is the claim that states whether the address is verified.
	verified string
	// wrong holds changes of the claims that make the token invalid, with the status and
	// the code of the response. They are added to the changes for all providers.
	wrong map[string]wrongToken
	// right holds changes of the claims that identify the same user.
	right map[string]map[string]any
}

// wrongToken is a change of the claims of a token, and the response to that token.
type wrongToken struct {
	claims map[string]any
	status int
	code   string
}

// The following functions return wrong tokens by their response.
func invalid(claims map[string]any) wrongToken { return wrongToken{claims, 401, "identity_invalid"} }
func missing(claims map[string]any) wrongToken { return wrongToken{claims, 401, "identity_missing"} }
func notVerified(claims map[string]any) wrongToken {
	return wrongToken{claims, 403, "email_unverified"}
}

// typJWT is the JOSE header of most providers.
var typJWT = map[string]any{"typ": "JWT"}

// accessOnly removes the claims of an ID token that an access token does not have.
func accessOnly(more map[string]any) map[string]any {
	changes := map[string]any{"email": nil, "email_verified": nil, "name": nil, "given_name": nil, "family_name": nil}
	maps.Copy(changes, more)
	return changes
}

const (
	entraTenant = "11111111-2222-3333-4444-555555555555"
	adaAddress  = "ada@clinic.example"
)

// providerTokens holds the tokens of all providers.
var providerTokens = []providerToken{
	{
		preset: "auth0", method: jwt.SigningMethodRS256, header: typJWT, lifetime: 24 * time.Hour,
		claims: map[string]any{
			"iss": "https://clinic.eu.auth0.com/", "sub": "auth0|66b1f0aa12", "aud": []string{"https://api.clinic.example", "https://clinic.eu.auth0.com/userinfo"},
			"azp": "c1i3ntA", "scope": "openid profile email", "email": adaAddress, "email_verified": true,
		},
		id: "auth0|66b1f0aa12", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another tenant":      invalid(map[string]any{"iss": "https://other.eu.auth0.com/"}),
			"without the slash":   invalid(map[string]any{"iss": "https://clinic.eu.auth0.com"}),
			"an ID token":         invalid(map[string]any{"aud": "c1i3ntA"}),
			"another API":         invalid(map[string]any{"aud": []string{"https://other.clinic.example", "https://clinic.eu.auth0.com/userinfo"}}),
			"without an Action":   missing(accessOnly(nil)),
			"namespaced claims":   missing(accessOnly(map[string]any{"https://clinic.example/email": adaAddress, "https://clinic.example/email_verified": true})),
			"a machine":           missing(accessOnly(map[string]any{"sub": "c1i3ntA@clients", "gty": "client-credentials", "aud": "https://api.clinic.example"})),
			"a tenant in capital": invalid(map[string]any{"iss": "https://Clinic.eu.auth0.com/"}),
		},
		right: map[string]map[string]any{"one audience": {"aud": "https://api.clinic.example"}},
	},
	{
		preset: "clerk", method: jwt.SigningMethodRS256, header: map[string]any{"typ": "JWT", "cat": "cl_B7d4PD111AAA"}, lifetime: time.Minute,
		claims: map[string]any{
			"azp": "https://app.clinic.example", "fva": []int{7, -1}, "iss": "https://clerk.clinic.example", "jti": "10db7f53", "sid": "sess_2abc", "sts": "active", "sub": "user_2xyz", "v": 2,
			"email": adaAddress, "email_verified": true, "given_name": "Zoë", "family_name": "Ångström",
		},
		id: "user_2xyz", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another application":     invalid(map[string]any{"iss": "https://clerk.other.example"}),
			"for an OAuth client":     invalid(map[string]any{"aud": "oauth-client-1", "sid": nil, "v": nil}),
			"of an OAuth client":      invalid(map[string]any{"client_id": "oauth-client-1"}),
			"another page":            invalid(map[string]any{"azp": "https://evil.example"}),
			"no page":                 invalid(map[string]any{"azp": nil}),
			"a pending session":       invalid(map[string]any{"sts": "pending"}),
			"the default claims":      missing(accessOnly(nil)),
			"metadata of the user":    missing(accessOnly(map[string]any{"unsafe_metadata": map[string]any{"email": adaAddress, "email_verified": true}})),
			"verified by itself":      notVerified(map[string]any{"email_verified": nil, "unsafe_metadata": map[string]any{"email_verified": true}}),
			"an unknown shortcode":    notVerified(map[string]any{"email_verified": "{{user.email_is_verified}}"}),
			"the status as Clerk has": notVerified(map[string]any{"email_verified": "verified"}),
		},
		right: map[string]map[string]any{"a JWT template": {"sid": nil, "v": nil, "sts": nil, "fva": nil}, "an interpolated text": {"email_verified": "true"}},
	},
	{
		preset: "cognito", method: jwt.SigningMethodRS256, lifetime: time.Hour,
		claims: map[string]any{
			"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf123", "sub": "7c1e0b52-0000-4000-8000-1f2e3d4c5b6a", "cognito:username": "ada", "aud": "4exampleclientid",
			"token_use": "id", "email": adaAddress, "email_verified": true, "given_name": "Zoë", "family_name": "Ångström",
		},
		id: "7c1e0b52-0000-4000-8000-1f2e3d4c5b6a", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another pool":           invalid(map[string]any{"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Other0000"}),
			"another region":         invalid(map[string]any{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-central-1_AbCdEf123"}),
			"another app client":     invalid(map[string]any{"aud": "4anotherclientid"}),
			"an access token":        invalid(accessOnly(map[string]any{"token_use": "access", "aud": nil, "client_id": "4exampleclientid", "scope": "openid email"})),
			"an access token, bound": invalid(map[string]any{"token_use": "access"}),
			"without token_use":      invalid(map[string]any{"token_use": nil}),
		},
	},
	{
		preset: "entra", method: jwt.SigningMethodRS256, header: typJWT, lifetime: 75 * time.Minute,
		claims: map[string]any{
			"ver": "2.0", "iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "aud": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", "azp": "cccccccc-0000-1111-2222-dddddddddddd", "azpacr": "0",
			"tid": entraTenant, "oid": "0d9e8f70-1212-3434-5656-787878787878", "sub": "HKZpfaHyWadeOouYlitjrI", "name": "Zoë Ångström", "scp": "access_as_user", "email": adaAddress, "xms_edov": true,
		},
		id: "0d9e8f70-1212-3434-5656-787878787878", first: "Zoë", last: "Ångström", verified: "xms_edov",
		wrong: map[string]wrongToken{
			"another tenant":         invalid(map[string]any{"iss": "https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0", "tid": "99999999-2222-3333-4444-555555555555"}),
			"personal accounts":      invalid(map[string]any{"iss": "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}),
			"version 1":              invalid(map[string]any{"ver": "1.0", "iss": "https://sts.windows.net/" + entraTenant + "/"}),
			"another API":            invalid(map[string]any{"aud": "eeeeeeee-0000-1111-2222-bbbbbbbbbbbb"}),
			"an ID token":            invalid(map[string]any{"scp": nil, "azp": nil, "azpacr": nil, "nonce": "n1"}),
			"an application":         invalid(map[string]any{"scp": nil, "roles": []string{"Users.Read"}, "email": nil}),
			"anybody's domain":       notVerified(map[string]any{"email": "ada@other.example", "xms_edov": nil}),
			"another domain, stated": {map[string]any{"email": "ada@other.example"}, 403, "domain_not_allowed"},
			"a guest's login":        notVerified(map[string]any{"email": "ada@other.example", "xms_edov": nil, "preferred_username": "ada_clinic.example#EXT#@other.onmicrosoft.com"}),
			"a guest's login alone":  invalid(map[string]any{"email": nil, "upn": "ada_clinic.example#EXT#@other.onmicrosoft.com"}),
			"a login that is none":   invalid(map[string]any{"email": nil, "preferred_username": "+1 555 0100"}),
			"a false statement":      notVerified(map[string]any{"xms_edov": "yes"}),
		},
		right: map[string]map[string]any{
			"1": {"xms_edov": 1}, `"1"`: {"xms_edov": "1"}, `"true"`: {"xms_edov": "true"}, "an allowed domain": {"xms_edov": nil},
			"a login":             {"email": nil, "xms_edov": nil, "preferred_username": adaAddress},
			"a upn":               {"email": nil, "xms_edov": nil, "upn": adaAddress},
			"a login, not email":  {"email": "mallory@evil.example", "xms_edov": nil, "preferred_username": adaAddress},
			"a login, denied":     {"email": "mallory@clinic.example", "xms_edov": false, "preferred_username": adaAddress},
			"email before logins": {"preferred_username": "other@clinic.example"},
		},
	},
	{
		preset: "firebase", method: jwt.SigningMethodRS256, header: typJWT, lifetime: time.Hour,
		claims: map[string]any{
			"iss": "https://securetoken.google.com/clinic-1", "aud": "clinic-1", "sub": "Zk3aV9pQ2sT", "user_id": "Zk3aV9pQ2sT", "name": "Zoë Ångström", "email": adaAddress, "email_verified": true,
			"firebase": map[string]any{"identities": map[string]any{"email": []string{adaAddress}}, "sign_in_provider": "password"},
		},
		id: "Zk3aV9pQ2sT", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another project":       invalid(map[string]any{"iss": "https://securetoken.google.com/clinic-2", "aud": "clinic-2"}),
			"another audience":      invalid(map[string]any{"aud": "clinic-2"}),
			"another issuer":        invalid(map[string]any{"iss": "https://session.firebase.google.com/clinic-1"}),
			"a custom token":        invalid(map[string]any{"aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit", "iss": "sdk@clinic-1.iam.gserviceaccount.com"}),
			"an anonymous user":     invalid(map[string]any{"email": nil, "email_verified": nil, "firebase": map[string]any{"sign_in_provider": "anonymous"}}),
			"a phone number alone":  missing(map[string]any{"email": nil, "email_verified": nil, "phone_number": "+15550100"}),
			"an address as no text": invalid(map[string]any{"email": []string{adaAddress, "b@clinic.example"}}),
		},
	},
	{
		preset: "keycloak", method: jwt.SigningMethodRS256, header: typJWT, lifetime: 5 * time.Minute,
		claims: map[string]any{
			"iss": "https://sso.clinic.example/realms/patients", "aud": "account", "sub": "6f1c2b3a-0000-4000-8000-aabbccddeeff", "typ": "Bearer", "azp": "clinic-app", "sid": "a1",
			"scope": "openid profile email", "realm_access": map[string]any{"roles": []string{"offline_access"}}, "email_verified": true, "name": "Somebody Else",
			"preferred_username": "ada", "given_name": "Zoë", "family_name": "Ångström", "email": adaAddress,
		},
		id: "6f1c2b3a-0000-4000-8000-aabbccddeeff", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another realm":     invalid(map[string]any{"iss": "https://sso.clinic.example/realms/master"}),
			"another client":    invalid(map[string]any{"azp": "other-app"}),
			"no client":         invalid(map[string]any{"azp": nil}),
			"an ID token":       invalid(map[string]any{"typ": "ID", "aud": "clinic-app"}),
			"a refresh token":   invalid(map[string]any{"typ": "Refresh"}),
			"a bound token":     invalid(map[string]any{"typ": "DPoP"}),
			"no scope email":    missing(map[string]any{"email": nil, "email_verified": nil}),
			"a service account": missing(map[string]any{"email": nil, "email_verified": nil, "preferred_username": "service-account-clinic-app"}),
		},
		right: map[string]map[string]any{"without an audience": {"aud": nil}, "with several": {"aud": []string{"account", "other"}}},
	},
	{
		preset: "okta", method: jwt.SigningMethodRS256, lifetime: time.Hour,
		claims: map[string]any{
			"ver": 1, "jti": "ID.T-ngjN", "iss": "https://clinic.okta.com/oauth2/default", "aud": "0oaexample1", "sub": "00uexample1", "amr": []string{"pwd"}, "idp": "00oexample1",
			"name": "Zoë Ångström", "email": adaAddress, "email_verified": true, "preferred_username": "ada@other.example",
		},
		id: "00uexample1", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"the org server":           invalid(map[string]any{"iss": "https://clinic.okta.com"}),
			"another organization":     invalid(map[string]any{"iss": "https://other.okta.com/oauth2/default"}),
			"another app":              invalid(map[string]any{"aud": "0oaexample2"}),
			"an access token":          invalid(accessOnly(map[string]any{"jti": "AT.bcNo4Ws", "aud": "api://default", "cid": "0oaexample1", "uid": "00uexample1", "scp": []string{"openid", "email"}, "sub": adaAddress})),
			"an access token, same":    invalid(map[string]any{"jti": "AT.bcNo4Ws", "cid": "0oaexample1"}),
			"an ID token without them": missing(accessOnly(nil)),
		},
	},
	{
		preset: "supabase", method: jwt.SigningMethodES256, header: typJWT, lifetime: time.Hour,
		claims: map[string]any{
			"iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "aud": "authenticated", "sub": "0f8b7c1e-1111-4222-8333-444455556666", "role": "authenticated", "aal": "aal1", "session_id": "9a",
			"email": adaAddress, "phone": "", "is_anonymous": false, "app_metadata": map[string]any{"provider": "email"},
			"user_metadata": map[string]any{"email": "mallory@evil.example", "email_verified": false, "full_name": "Zoë Ångström"},
		},
		id: "0f8b7c1e-1111-4222-8333-444455556666", first: "Zoë", last: "Ångström",
		wrong: map[string]wrongToken{
			"another project":      invalid(map[string]any{"iss": "https://bbcdefghijklmnopqrst.supabase.co/auth/v1"}),
			"another audience":     invalid(map[string]any{"aud": "anon"}),
			"no audience":          invalid(map[string]any{"aud": nil}),
			"an anonymous user":    invalid(map[string]any{"is_anonymous": true}),
			"an ID token":          invalid(map[string]any{"aud": "oauth-client-1", "email_verified": true}),
			"an OAuth application": invalid(map[string]any{"client_id": "oauth-client-1", "scope": "openid email"}),
			"a service key":        invalid(map[string]any{"iss": "supabase", "aud": nil, "sub": nil, "role": "service_role"}),
			"a phone number alone": missing(map[string]any{"email": "", "phone": "15550100"}),
			"no address but their": missing(map[string]any{"email": nil}),
			"a hook that denies":   notVerified(map[string]any{"email_verified": false}),
		},
		right: map[string]map[string]any{"without is_anonymous": {"is_anonymous": nil}},
	},
	{
		preset: "zitadel", method: jwt.SigningMethodRS256, lifetime: 12 * time.Hour,
		claims: map[string]any{
			"iss": "https://clinic-abc123.eu1.zitadel.cloud", "sub": "163840776835432705", "aud": []string{"271830000000000001", "271830000000000000"}, "azp": "271830000000000001",
			"amr": []string{"pwd"}, "nonce": "n1", "email": adaAddress, "email_verified": true, "name": "Zoë Ångström", "given_name": "Zoë", "family_name": "Ångström", "preferred_username": "mallory@evil.example",
		},
		id: "163840776835432705", first: "Zoë", last: "Ångström", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another instance": invalid(map[string]any{"iss": "https://other-abc123.eu1.zitadel.cloud"}),
			"another project":  invalid(map[string]any{"aud": []string{"371830000000000001", "371830000000000000"}}),
			"an access token":  missing(accessOnly(map[string]any{"amr": nil, "nonce": nil, "preferred_username": nil, "jti": "V2_28"})),
			"with a slash":     invalid(map[string]any{"iss": "https://clinic-abc123.eu1.zitadel.cloud/"}),
		},
	},
	{
		preset: "oathkeeper", method: jwt.SigningMethodRS256, header: typJWT, lifetime: time.Minute,
		claims: map[string]any{
			"iss": "https://oathkeeper.clinic.example/", "aud": []string{"https://api.clinic.example"}, "sub": "0f8b7c1e-1111-4222-8333-444455556666", "jti": "b7",
			"email": adaAddress, "email_verified": true,
		},
		id: "0f8b7c1e-1111-4222-8333-444455556666", verified: "email_verified",
		wrong: map[string]wrongToken{
			"another service":    invalid(map[string]any{"aud": []string{"https://other.clinic.example"}}),
			"without the slash":  invalid(map[string]any{"iss": "https://oathkeeper.clinic.example"}),
			"without claims":     invalid(map[string]any{"aud": nil, "email": nil, "email_verified": nil}),
			"an anonymous user":  missing(map[string]any{"sub": "guest", "email": "", "email_verified": ""}),
			"without print":      invalid(map[string]any{"email": "<no value>"}),
			"of the client ID":   invalid(map[string]any{"aud": "c1"}),
			"an empty statement": notVerified(map[string]any{"email_verified": ""}),
		},
	},
}
