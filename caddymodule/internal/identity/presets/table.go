package presets

// layers holds the presets of authentication layers in front of this server.
var layers = [...]Preset{
	{
		Name:     "authelia",
		AuthPath: "/api/authz/forward-auth",
		Sources: Sources{
			Email:  from("Remote-Email"),
			UserID: from("Remote-User"),
			Name:   from("Remote-Name"),
		},
		AlsoSent: []string{"Remote-Groups"},
		Note:     "With the policy `bypass`, Authelia sends no headers: such a request is unauthenticated." + unstated,
	},
	{
		Name:     "authentik",
		AuthPath: "/outpost.goauthentik.io/auth/caddy",
		Sources: Sources{
			Email:  from("X-Authentik-Email"),
			UserID: from("X-Authentik-Uid"),
			Name:   from("X-Authentik-Name"),
		},
		AlsoSent: []string{"X-Authentik-Username", "X-Authentik-Groups", "X-Authentik-Entitlements", "X-Authentik-Jwt"},
		Note:     "The user ID is authentik's hash; it does not change with the email address. If names are percent-encoded, write `name_encoding percent`. Some versions respond 200 without headers (CVE-2026-25748): such a request is unauthenticated." + unstated,
	},
	{
		Name:     "aws_alb",
		Signed:   oidc("X-Amzn-Oidc-Data"),
		AlsoSent: []string{"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken"},
		Verify: Verify{
			JWKS:       "https://public-keys.auth.elb.{region}.amazonaws.com",
			KeyByID:    true,
			Algorithms: []string{"ES256"},
		},
		JWKSExample: "https://public-keys.auth.elb.eu-west-2.amazonaws.com",
		Note:        "The header is a signed assertion and requires `verify` with `signer`, the ARN of the load balancer. The ARN contains the region of the keys. In GovCloud, write `jwks https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1`. `audience` is the client ID (optional).",
	},
	{
		Name: "azure_easy_auth",
		Sources: Sources{
			Email:     withEntra(azure("email", "/claims/emailaddress", "emails.0"), "preferred_username", "upn", "/claims/upn"),
			UserID:    from("X-Ms-Client-Principal-Id"),
			Name:      azure("name"),
			FirstName: azure("/claims/givenname", "given_name"),
			LastName:  azure("/claims/surname", "family_name"),
		},
		AlsoSent: []string{
			"X-Ms-Client-Principal-Name", "X-Ms-Token-Aad-Id-Token", "X-Ms-Token-Aad-Access-Token", "X-Ms-Token-Aad-Refresh-Token",
			"X-Ms-Token-Google-Id-Token", "X-Ms-Token-Google-Access-Token", "X-Ms-Token-Google-Refresh-Token",
			"X-Ms-Token-Facebook-Access-Token", "X-Ms-Token-Twitter-Access-Token", "X-Ms-Token-Twitter-Access-Token-Secret",
		},
		Note: "Reads the claims, because X-Ms-Client-Principal-Name is not always an email address. The login (`preferred_username`, `upn`) is read only if Microsoft Entra ID has authenticated the user (`auth_typ` aad) and has sent no email address; that of a guest (with #) is rejected. For single-tenant applications only: in a multi-tenant application, any tenant can set any `email`. **Microsoft Entra ID never says whether the email address is verified.**",
	},
	{
		Name: "basic_auth",
		Sources: Sources{
			Email:  from("{http.auth.user.id}"),
			UserID: from("{http.auth.user.id}"),
		},
		Note: "For accounts whose names are email addresses." + unstated,
	},
	{
		Name: "caddy_jwt",
		Sources: Sources{
			Email:     from("{http.auth.user.email}"),
			UserID:    from("{http.auth.user.id}"),
			Name:      from("{http.auth.user.name}"),
			FirstName: from("{http.auth.user.given_name}"),
			LastName:  from("{http.auth.user.family_name}"),
			Verified:  ifSent(from("{http.auth.user.email_verified}")),
		},
		Note: "jwtauth sets only the claims in its meta_claims: `meta_claims email email_verified name given_name family_name`. **Without `email_verified` there, an unverified address is accepted.**",
	},
	{
		Name: "caddy_security",
		Sources: Sources{
			Email:  from("{http.auth.user.email}"),
			UserID: from("{http.auth.user.sub}"),
			Name:   from("{http.auth.user.name}"),
		},
		Note: "Write `disable auth redirect` in the authorization policy: apps need 401 instead of a redirect. A bypass rule sets an empty user: such a request is unauthenticated." + unstated,
	},
	{
		Name: "caddy_tailscale",
		Sources: Sources{
			Email:  from("{http.auth.user.tailscale_user}"),
			UserID: from("{http.auth.user.id}"),
			Name:   from("{http.auth.user.tailscale_name}"),
		},
		Logins: true,
		Note:   "The login is an email address only with some identity providers. A login such as user@github is not, and is rejected." + unstated,
	},
	{
		Name: "cloudflare_access",
		Sources: Sources{
			Email:  from("Cf-Access-Authenticated-User-Email"),
			UserID: within("Cf-Access-Jwt-Assertion", "sub"),
		},
		Signed: Sources{
			Email:  within("Cf-Access-Jwt-Assertion", "email"),
			UserID: within("Cf-Access-Jwt-Assertion", "sub"),
		},
		Verify:        Verify{JWKS: "{issuer}/cdn-cgi/access/certs", Algorithms: []string{"RS256"}},
		IssuerExample: "https://<team>.cloudflareaccess.com",
		Note:          "With `verify`, write `issuer https://<team>.cloudflareaccess.com` and `audience` (the application's tag). Without it, `trust proxies` needs Cloudflare's ranges, and no other client may be able to connect from these ranges. Service tokens have no email address." + unstated,
	},
	{
		Name:     "gatekeeper",
		AuthPath: "/",
		Sources: Sources{
			Email:     from("X-Auth-Email"),
			UserID:    from("X-Auth-Subject"),
			Name:      from("X-Auth-Name"),
			FirstName: from("X-Auth-Given-Name"),
			LastName:  from("X-Auth-Family-Name"),
			Verified:  ifSent(from("X-Auth-Email-Verified")),
		},
		AlsoSent: []string{"X-Auth-Username", "X-Auth-Userid", "X-Auth-Token", "X-Auth-Groups", "X-Auth-Roles"},
		Note:     "Sends names only with `--add-claims`. **Says whether the email address is verified only with `--add-claims=email_verified`.**",
	},
	{
		Name:    "gcp_api_gateway",
		Sources: oidc("X-Apigateway-Api-Userinfo"),
		// The gateway moves the client's token to this header.
		AlsoSent: []string{"X-Forwarded-Authorization"},
		Note:     "The header contains the payload of the token that the gateway has verified. Only the gateway may be able to reach this server.",
	},
	{
		Name: "google_iap",
		Sources: Sources{
			Email:  afterColon(from("X-Goog-Authenticated-User-Email")),
			UserID: afterColon(from("X-Goog-Authenticated-User-Id")),
		},
		Signed: Sources{
			Email:  afterColon(within("X-Goog-Iap-Jwt-Assertion", "email")),
			UserID: afterColon(within("X-Goog-Iap-Jwt-Assertion", "sub")),
		},
		Verify: Verify{
			JWKS:       "https://www.gstatic.com/iap/verify/public_key-jwk",
			Issuer:     "https://cloud.google.com/iap",
			Algorithms: []string{"ES256"},
		},
		Note: "`audience` is /projects/<number>/global/backendServices/<id>, or /projects/<number>/apps/<project>. The prefix up to the last colon (accounts.google.com:) is removed." + unstated,
	},
	{
		Name: "istio",
		Sources: Sources{
			Email:     from("X-Jwt-Claim-Email"),
			UserID:    from("X-Jwt-Claim-Sub"),
			Name:      from("X-Jwt-Claim-Name"),
			FirstName: from("X-Jwt-Claim-Given-Name"),
			LastName:  from("X-Jwt-Claim-Family-Name"),
		},
		Note: "Configure outputClaimToHeaders with these header names. With outputPayloadToHeader, write `identity { email X-Jwt-Payload email }` on several lines instead of the preset. **Does not say whether the email address is verified: output the claim `email_verified` too, and write `verified X-Jwt-Claim-Email-Verified`.**",
	},
	{
		Name: "oathkeeper",
		// The port is that of the API, 4456 (Oathkeeper's guide "Traefik proxy
		// integration").
		AuthPath: "/decisions",
		// The names of the headers are configuration. Oathkeeper's documentation has only
		// X-User, with the subject (page "Mutators"); the others are ours.
		Sources: Sources{
			Email:     from("X-User-Email"),
			UserID:    from("X-User"),
			Name:      from("X-User-Name"),
			FirstName: from("X-User-Given-Name"),
			LastName:  from("X-User-Family-Name"),
			Verified:  ifSent(from("X-User-Email-Verified")),
		},
		Signed: oidc("Authorization"),
		// The page "Mutators" has no discovery document.
		IssuerExample: "https://oathkeeper.example.com/ (issuer_url of the mutator id_token)",
		JWKSExample:   "http://oathkeeper:4456/.well-known/jwks.json",
		Note:          "Configure the mutator `header` with these names: `X-User` with `{{ print .Subject }}`, `X-User-Email` with, for example, `{{ print .Extra.identity.traits.email }}`, and the rest or an empty text for each. Write `print`, because without it a missing value is the text `<no value>`. **Configure all of them: it is not documented that Oathkeeper removes a header of the client that no mutator sets. The authenticator `anonymous` sets a subject too: with it, every anonymous user is one user (`guest`). Says whether the email address is verified only as X-User-Email-Verified.** With the mutator `id_token`, write `verify` with `jwks http://oathkeeper:4456/.well-known/jwks.json`, `issuer` (its issuer_url, with the slash if it has one) and `audience`; `claims` must contain `aud`, `email` and `email_verified`, and the first key of its jwks_url must not be HS256.",
	},
	{
		Name:     "oauth2_proxy",
		AuthPath: "/oauth2/auth",
		Sources: Sources{
			Email:     from("X-Auth-Request-Email"),
			UserID:    from("X-Auth-Request-User"),
			FirstName: firstOf(from("X-Auth-Request-Given-Name")),
			LastName:  firstOf(from("X-Auth-Request-Family-Name")),
			Verified:  ifSent(from("X-Auth-Request-Email-Verified")),
		},
		AlsoSent: []string{"X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token"},
		Note:     "For oauth2-proxy as the auth server, with --set-xauthrequest. Sends first and last name only if they are configured as claims (7.15.0 and later). Several email addresses arrive joined by commas and are rejected. With --cookie-refresh, use `auth_server`: `forward_auth` drops the renewed cookie. **Says whether the email address is verified only if the claim `email_verified` is configured as X-Auth-Request-Email-Verified.**",
	},
	{
		Name: "oauth2_proxy_upstream",
		Sources: Sources{
			Email:     from("X-Forwarded-Email"),
			UserID:    from("X-Forwarded-User"),
			FirstName: firstOf(from("X-Forwarded-Given-Name")),
			LastName:  firstOf(from("X-Forwarded-Family-Name")),
			Verified:  ifSent(from("X-Forwarded-Email-Verified")),
		},
		AlsoSent: []string{"X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Forwarded-Access-Token"},
		Note:     "For oauth2-proxy as the proxy in front of this server. With --prefer-email-to-user, the email address is in X-Forwarded-User: write `email X-Forwarded-User`. Apps need 401 instead of a redirect: --api-route=^/private/. Sends first and last name only if they are configured as claims with these names. **Says whether the email address is verified only if the claim `email_verified` is configured as X-Forwarded-Email-Verified. oauth2-proxy removes only the headers that it sets itself: if the email address is in another one (--prefer-email-to-user), or in none (--pass-user-headers=false with --pass-basic-auth=false), a signed-in user can send any X-Forwarded-Email.**",
	},
	{
		Name: "pomerium",
		Sources: Sources{
			Email:     from("X-Pomerium-Claim-Email"),
			UserID:    from("X-Pomerium-Claim-Sub"),
			Name:      from("X-Pomerium-Claim-Name"),
			FirstName: from("X-Pomerium-Claim-Given-Name"),
			LastName:  from("X-Pomerium-Claim-Family-Name"),
		},
		Signed: oidc("X-Pomerium-Jwt-Assertion"),
		Verify: Verify{
			JWKS:       "https://{audience}/.well-known/pomerium/jwks.json",
			Issuer:     "{audience}",
			Algorithms: []string{"ES256"},
		},
		IssuerExample: "the route's host",
		JWKSExample:   "https://<the route's host>/.well-known/pomerium/jwks.json",
		Note:          "Sends the claims in jwt_claims_headers; a claim that the user does not have is empty. `audience` is the route's host; `issuer` and `jwks` default to values derived from it. With `jwt_issuer_format uri`, write `issuer https://<host>/`. **The headers do not say whether the email address is verified: add the claim `email_verified` to jwt_claims_headers, and write `verified X-Pomerium-Claim-Email-Verified`.**",
	},
	{
		Name: "tailscale",
		Sources: Sources{
			Email:  from("Tailscale-User-Login"),
			UserID: from("Tailscale-User-Login"),
			Name:   from("Tailscale-User-Name"),
		},
		Logins:   true,
		AlsoSent: []string{"Tailscale-User-Profile-Pic"},
		Note:     "For `tailscale serve` in front. The login is an email address only with some identity providers. A login such as user@github is not, and is rejected. Tagged nodes and Funnel send no user." + unstated,
	},
	{
		Name: "teleport",
		Signed: Sources{
			Email:  within("Teleport-Jwt-Assertion", "username", "sub"),
			UserID: within("Teleport-Jwt-Assertion", "sub"),
		},
		Verify:        Verify{Algorithms: []string{"RS256", "ES256"}},
		IssuerExample: "the cluster's name",
		JWKSExample:   "https://<proxy>/.well-known/jwks.json",
		Note:          "The header is a signed assertion and requires `verify` with `jwks https://<proxy>/.well-known/jwks.json`, `issuer` (the cluster's name) and `audience` (the application's URI). User names must be email addresses." + unstated,
	},
	{
		Name:     "vouch",
		AuthPath: "/validate",
		Sources: Sources{
			// Not X-Vouch-User: it is the claim username, which users choose at some providers.
			Email:     from("X-Vouch-Idp-Claims-Email"),
			UserID:    from("X-Vouch-Idp-Claims-Sub"),
			Name:      from("X-Vouch-Idp-Claims-Name"),
			FirstName: from("X-Vouch-Idp-Claims-Given-Name"),
			LastName:  from("X-Vouch-Idp-Claims-Family-Name"),
			Verified:  ifSent(from("X-Vouch-Idp-Claims-Email-Verified")),
		},
		AlsoSent: []string{"X-Vouch-User", "X-Vouch-Idp-Accesstoken", "X-Vouch-Idp-Idtoken"},
		Note:     "Reads claims, which Vouch sends only if `claims` in its config lists them: `email`, and `email_verified`, `sub`, `given_name`, `family_name`. X-Vouch-User is not read: it is the claim `username` of the provider, which users may choose. With publicAccess, Vouch responds 200 with an empty user: such a request is unauthenticated. **Says whether the email address is verified only if the claim `email_verified` is configured.**",
	},
}
