package presets

// verifiedClaim is the source of the claim email_verified (OpenID Connect Core 1.0,
// section 5.1), which must be true.
func verifiedClaim() Source {
	s := within(bearer, "email_verified")
	s.Strict = true
	return s
}

// verifiedOIDC returns the sources for the standard claims in the token of a provider.
func verifiedOIDC() Sources {
	s := oidc(bearer)
	s.Verified = verifiedClaim()
	return s
}

// verifiedOptions is the end of the note of presets that require a verified address.
const verifiedOptions = " `verified assumed` states that every address is verified: then only an explicit no is rejected. `verified off` checks nothing.**"

// demands is the end of the note of presets that require the claim email_verified.
const demands = " **Requires `email_verified` true in the token; without it, the request is rejected (403)." + verifiedOptions

// providers holds the presets of identity providers. Their facts are from the page of the
// provider's documentation that a comment names, or, if it says so, from other pages.
var providers = [...]Preset{
	{
		// "Access Token Profiles", "JSON Web Key Sets", "Signing Algorithms". The issuer has
		// a slash at its end.
		Name:   "auth0",
		Signed: verifiedOIDC(),
		Verify: Verify{JWKS: "https://{domain}/.well-known/jwks.json", Algorithms: []string{"RS256", "PS256"}},
		Provider: &Provider{
			Parameters:      []Parameter{domain("https://{domain}/", "clinic.eu.auth0.com")},
			AudienceExample: "the identifier of your API, such as \"audience https://api.clinic.example\"",
			CommonAudience:  "{issuer}userinfo", // with the scope openid
		},
		Note: "`domain` is the host in `iss`: the custom domain, if the app signs in through it. `audience` is the identifier of your API; without an audience, Auth0 gives the app an opaque token. Access tokens contain no address until an Action adds it with the scope `email` (`api.accessToken.setCustomClaim`): under the plain names `email` and `email_verified`, or, under others, with `email Authorization https://clinic\\.example/email` and `verified Authorization https://clinic\\.example/email_verified`. An enterprise connection can be set to call every address verified." + demands,
	},
	{
		// "Customize session tokens", "JWT templates", "Manual JWT verification". That OAuth
		// access tokens have client_id is not on these pages (RFC 9068, section 2.2).
		Name:   "clerk",
		Signed: verifiedOIDC(),
		Verify: Verify{JWKS: "{issuer}/.well-known/jwks.json", Algorithms: []string{"RS256"}},
		Provider: &Provider{
			Parameters:     []Parameter{domain("https://{domain}", "clerk.clinic.example")},
			OneApplication: true,
			Refuse:         []Claim{{"sts", []string{"pending"}}, {"client_id", nil}},
			UserWritten:    []string{"unsafe_metadata", "unsafeMetadata"},
		},
		Note: "`domain` is the host of the Frontend API URL. Reads session tokens and those of a JWT template. Neither contains an address until you add the claims `email` (`{{user.primary_email_address}}`), `email_verified` (`{{user.email_verified}}`), `given_name`, `family_name` in the dashboard; a shortcode alone keeps its type. **Never take a claim from `unsafe_metadata`: users write it.** A session token has no `aud`: without `audience`, a token that has one is rejected. `azp` is the origin of the web page, not a client ID: `require azp https://app.clinic.example` excludes other pages, and apps without an origin. Sessions that are pending are rejected." + demands,
	},
	{
		// "Understanding the identity (ID) token". The forms of issuer and JWKS are
		// second-hand: authjs.dev, page "Amazon Cognito"; token_use is from "Working with
		// Amazon Cognito tokens" of Amazon Verified Permissions.
		Name:   "cognito",
		Signed: verifiedOIDC(),
		Verify: Verify{JWKS: "{issuer}/.well-known/jwks.json", Algorithms: []string{"RS256"}},
		Provider: &Provider{
			Parameters: []Parameter{
				userPool("https://cognito-idp.{region}.amazonaws.com/{user_pool}"),
				// In China the host is another one (docs.amazonaws.cn); which is unconfirmed.
				issuer("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC123", nil),
			},
			AudienceExample: "the ID of the app client, such as \"audience 4exampleclientid\"",
			CheckAudience:   clientID,
			Demand:          []Claim{{"token_use", []string{"id"}}},
			Lacks:           []string{"client_id"}, // in access tokens only
		},
		Note: "Reads ID tokens (`token_use` id): the app must send its ID token, because access tokens have no address. `audience` is the ID of the app client, which must be allowed to read `email` and `email_verified`. The issuer is the same with a custom domain. For a user pool in China, write `issuer` instead of `user_pool`." + demands,
	},
	{
		// "Access token claims reference", "Optional claims reference", "Migrate away from
		// using email claims for user identification or authorization". The type of xms_edov
		// is documented as a boolean; 1 and "1" are second-hand (test data of others).
		Name: "entra",
		Signed: Sources{
			Email:     Source{From: bearer, Paths: []string{"email"}, EntraPaths: []string{"preferred_username", "upn"}, ConfirmedBy: "xms_edov"},
			UserID:    within(bearer, "oid"),
			Name:      within(bearer, "name"),
			FirstName: within(bearer, "given_name"),
			LastName:  within(bearer, "family_name"),
		},
		Verify: Verify{JWKS: "https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys", Algorithms: []string{"RS256"}},
		Provider: &Provider{
			Parameters:      []Parameter{tenant("https://login.microsoftonline.com/{tenant}/v2.0")},
			AudienceExample: "the application (client) ID of your API, such as \"audience 00001111-aaaa-2222-bbbb-3333cccc4444\"",
			CheckAudience:   guid,
			// ID tokens have no scp, and nor have tokens of an application without a user.
			Demand: []Claim{{"scp", nil}},
			Lacks:  []string{"appid"}, // in tokens of version 1 only
		},
		Note: "Of one tenant, by its ID. Reads access tokens for your API in version 2 (`accessTokenAcceptedVersion` 2 in the manifest); `audience` is the application (client) ID of the API. **Microsoft does not verify `email`: in a directory, any address can be set there, also that of another person, whose account would then be taken over. It counts only if the optional claim `xms_edov` is true, or if `xms_edov` is absent and the domain is in `domains`.** Otherwise the login is used, `preferred_username` or else `upn`, which the tenant's directory sets; that of a guest (with #) is rejected. Add `email` and `xms_edov` as optional claims of the access token, and `given_name`, `family_name` for names. The user ID is `oid`. Not for External ID, B2C and national clouds. **Without a login or an address that counts, the request is rejected (403)." + verifiedOptions,
	},
	{
		// "Verify ID Tokens", and, for the issuer and RS256, the source of
		// firebase-admin-node (src/auth/token-verifier.ts). Google documents the keys as
		// certificates; the URL of the same keys as a JWKS is second-hand: it is jwks_uri in
		// the discovery document, as quoted at zenn.dev/utouto97/articles/f45af48a3e8bf0.
		// The form of project IDs is from Google Cloud's documentation.
		Name: "firebase",
		Signed: Sources{
			Email:    within(bearer, "email"),
			UserID:   within(bearer, "sub"),
			Name:     within(bearer, "name"),
			Verified: verifiedClaim(),
		},
		Verify: Verify{JWKS: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com", Algorithms: []string{"RS256"}},
		Provider: &Provider{
			Parameters: []Parameter{project("https://securetoken.google.com/{project}", "clinic-1", "the ID of a Google Cloud project", googlePattern)},
			Audience:   "{project}",
			Refuse:     []Claim{{"firebase.sign_in_provider", []string{"anonymous"}}},
		},
		Note: "Reads ID tokens (`getIdToken()`), of every app of the project. Session cookies, custom tokens and tokens of the emulator are rejected, and so are anonymous users. Users with a phone number alone have no address. **Who signs up with a password is not verified until the app has sent the mail (`sendEmailVerification`) and the user has a new token.**" + demands,
	},
	{
		// Server Administration Guide, "Audience support"; "Securing applications with OpenID
		// Connect". The claim typ is a constant of the source (core, TokenUtil.java); that it
		// is in the payload is not in the documentation. The scope basic is from the source
		// too (services, OIDCLoginProtocolFactory.java).
		Name:   "keycloak",
		Signed: verifiedOIDC(),
		Verify: Verify{JWKS: "{issuer}/protocol/openid-connect/certs"},
		Provider: &Provider{
			Parameters:      []Parameter{issuer("https://sso.clinic.example/realms/patients", realmPattern)},
			AudienceExample: "the client of your API as an audience mapper adds it to aud, such as \"audience clinic-api\", or the client of the app, such as \"require azp clinic-app\"",
			CommonAudience:  "account",
			Demand:          []Claim{{"typ", []string{"Bearer"}}},
		},
		Note: "`issuer` is the realm's URL as in `iss`: the `hostname` of Keycloak's configuration. If Keycloak has another name inside, write `jwks` with that one. Reads access tokens (`typ` Bearer). `aud` is `account` for every client, or absent: write `require azp <client>`, or add an audience mapper and write `audience`. The client scopes `email`, `profile` and `basic` (which adds `sub`) must be on the client. **An administrator can tick `emailVerified`, and a broker may trust the addresses of its identity provider (Trust Email).**" + demands,
	},
	{
		// "Validate ID tokens", "Authorization servers", "Customize tokens returned from Okta".
		// The keys are found by discovery, as Okta recommends: the URL of the keys of a custom
		// authorization server is unconfirmed.
		Name:   "okta",
		Signed: verifiedOIDC(),
		Verify: Verify{Algorithms: []string{"RS256"}},
		Provider: &Provider{
			Parameters: []Parameter{
				domain("https://{domain}", "clinic.okta.com"),
				issuer("https://clinic.okta.com/oauth2/default", nil),
			},
			AudienceExample: "the client ID of the app, such as \"audience 0oaexample1\"",
			CheckAudience:   clientID,
			Refuse:          []Claim{{"cid", nil}}, // in access tokens only
		},
		Note: "Reads ID tokens: the app must send its ID token. `audience` is the app's client ID. `domain` is for the org authorization server; for a custom one, write `issuer https://clinic.okta.com/oauth2/default` instead. Access tokens are rejected: only Okta can verify those of the org server, and the `sub` of the others is a login that looks like an address. It is not documented which claims of the scopes `email` and `profile` an ID token has if the app also gets an access token. **Okta advises applications of several organizations not to rely on `email_verified`.**" + demands,
	},
	{
		// "JWT Claims Reference", "JWT Signing Keys". Whether a custom domain changes the
		// issuer is unconfirmed, and so is the aud of anonymous users. client_id is from the
		// source of supabase/auth (internal/tokens/service.go).
		Name: "supabase",
		Signed: Sources{
			Email:  within(bearer, "email"),
			UserID: within(bearer, "sub"),
			Name:   within(bearer, "user_metadata.full_name", "user_metadata.name"),
		},
		Verify: Verify{JWKS: "{issuer}/.well-known/jwks.json", Algorithms: []string{"ES256", "RS256"}},
		Provider: &Provider{
			Parameters: []Parameter{
				project("https://{project}.supabase.co/auth/v1", "abcdefghijklmnopqrst", "the reference of a project, the first part of its host", supabasePattern),
				domain("https://{domain}/auth/v1", "auth.clinic.example"),
				issuer("https://supabase.clinic.example/auth/v1", nil),
			},
			Audience:    "authenticated",
			Refuse:      []Claim{{"is_anonymous", []string{"true"}}, {"client_id", nil}},
			UserWritten: []string{"user_metadata"},
		},
		Note: "`project` is the reference in the project's host; `domain` is for a custom domain, `issuer` for a self-hosted server. The project must sign with an asymmetric key (JWT Signing Keys): with the legacy secret (HS256), the JWKS is empty. Anonymous users, and tokens for applications of the OAuth server, are rejected. **The token does not say whether the email address is verified: `user_metadata` is written by the users themselves, and nothing there ever counts, except a name. `verified assumed` is therefore required. Write it only if \"Confirm email\" is on, no hook or other service confirms addresses, and every OAuth provider of the project verifies them; with autoconfirm, anyone can sign up with any address.** If a Custom Access Token Hook adds a claim, write `verified Authorization <claim>` instead.",
	},
	{
		// "Claims in ZITADEL", "OpenID Connect endpoints", "Web keys". That the issuer is the
		// domain with https:// and no slash follows from the URLs of the endpoints; literally
		// it is unconfirmed.
		Name:   "zitadel",
		Signed: verifiedOIDC(),
		Verify: Verify{JWKS: "{issuer}/oauth/v2/keys"},
		Provider: &Provider{
			Parameters: []Parameter{
				domain("https://{domain}", "clinic-abc123.eu1.zitadel.cloud"),
				issuer("https://zitadel.clinic.example:8443", nil),
			},
			AudienceExample: "the ID of the project, or the client ID of the app, such as \"audience 271830000000000000\"",
			CheckAudience:   clientID,
		},
		Note: "`domain` is the custom domain or that of the instance. `audience` is the ID of the project (then for every app of it) or the client ID of the app. **Access tokens have no address, and are opaque unless the app is configured for JWTs: send the ID token, with the option \"User Info inside ID Token\" of the app.** For a server on another port, write `issuer https://<host>:<port>`. Users may choose `preferred_username` themselves." + demands,
	},
}
