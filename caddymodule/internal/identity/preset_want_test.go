package identity

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
			"X-Vouch-Idp-Claims-Email": "a@x.io", "X-Vouch-Idp-Claims-Sub": "u-1", "X-Vouch-User": "b@x.io", "X-Vouch-Idp-Claims-Name": "Somebody Else",
			"X-Vouch-Idp-Claims-Given-Name": "Ren\u00e9", "X-Vouch-Idp-Claims-Family-Name": "M\u00fcller",
		},
		"u-1", "Ren\u00e9", "M\u00fcller",
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
	"google_iap":        {"X-Goog-Iap-Jwt-Assertion", `{"sub":"securetoken.google.com/clinic/staff:accounts.google.com:1134","email":"a@x.io"}`, "1134", "", ""},
	"pomerium":          {"X-Pomerium-Jwt-Assertion", `{"sub":"u-1","email":"a@x.io","name":"=?utf-8?q?Ren=C3=A9_M=C3=BCller?="}`, "u-1", "Ren\u00e9", "M\u00fcller"},
	"teleport":          {"Teleport-Jwt-Assertion", `{"sub":"a@x.io","username":"a@x.io"}`, "a@x.io", "", ""},
	"oathkeeper":        {"Authorization", `{"sub":"0f8b7c1e","email":"a@x.io","email_verified":true}`, "0f8b7c1e", "", ""},

	"auth0":    {"Authorization", `{"sub":"auth0|66b1","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "auth0|66b1", "Ren\u00e9", "M\u00fcller"},
	"clerk":    {"Authorization", `{"sub":"user_2xyz","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "user_2xyz", "Ren\u00e9", "M\u00fcller"},
	"cognito":  {"Authorization", `{"sub":"7c1e","cognito:username":"ada","email":"a@x.io","email_verified":true,"given_name":"René","family_name":"Müller"}`, "7c1e", "Ren\u00e9", "M\u00fcller"},
	"entra":    {"Authorization", `{"sub":"HKZp","oid":"0d9e","email":"a@x.io","xms_edov":true,"name":"René Müller"}`, "0d9e", "Ren\u00e9", "M\u00fcller"},
	"firebase": {"Authorization", `{"sub":"Zk3a","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "Zk3a", "Ren\u00e9", "M\u00fcller"},
	"keycloak": {"Authorization", `{"sub":"6f1c","preferred_username":"ada","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "6f1c", "Ren\u00e9", "M\u00fcller"},
	"okta":     {"Authorization", `{"sub":"00u1","preferred_username":"b@x.io","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "00u1", "Ren\u00e9", "M\u00fcller"},
	"supabase": {"Authorization", `{"sub":"0f8b","email":"a@x.io","user_metadata":{"email":"b@x.io","full_name":"René Müller","name":"rene"}}`, "0f8b", "Ren\u00e9", "M\u00fcller"},
	"zitadel":  {"Authorization", `{"sub":"1638","preferred_username":"b@x.io","email":"a@x.io","email_verified":true,"name":"René Müller"}`, "1638", "Ren\u00e9", "M\u00fcller"},
}
