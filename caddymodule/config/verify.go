package config

// Verify defines which signed assertions (JWTs) are accepted. An assertion must
// be signed with a public-key algorithm, must not be expired and must not come
// from the future, with a tolerance of 30 seconds.
//
// The public keys are fetched when the config starts, and cached in memory. They
// are fetched again as they age, when an assertion names an unknown key, and
// when the signature under a known key id is wrong: at most once in 5 seconds
// (for wrong signatures, while the keys stay the same, in 10, 20, … 300
// seconds), or with aws_alb, which serves each key separately, at most 5 times
// a second and once a second for one peer. While the key server is down, the
// cached keys stay in use, and an assertion with another key gets a 503
// response. A response without usable keys is ignored the first time. At most
// max_waiting requests wait for keys; further ones get a 503 response.
//
// With a preset of an identity provider, whose tokens apps send as Authorization:
// Bearer, the keys and the issuer are derived from one of domain, project, tenant,
// user_pool and, where the provider has issuers that cannot be derived, issuer. In the
// Caddyfile, these options stand directly in the block identity then.
type Verify struct {
	// The host of the issuer, without a scheme, a port or a path: for auth0 the domain
	// of the tenant or its custom domain, for clerk the host of the Frontend API URL,
	// for okta that of the org authorization server, for zitadel that of the instance,
	// for supabase a custom domain. Not allowed with other presets.
	Domain string `json:"domain,omitempty"`

	// The project: for firebase its id, which is also the only accepted audience, for
	// supabase its reference. Not allowed with other presets.
	Project string `json:"project,omitempty"`

	// The tenant of entra, as a GUID. Tenants that anyone can be a user of (common,
	// organizations, consumers) and names of tenants are an error. Not allowed with
	// other presets.
	Tenant string `json:"tenant,omitempty"`

	// The id of the user pool of cognito, such as eu-central-1_AbC123. It begins with
	// the region. Not allowed with other presets.
	UserPool string `json:"user_pool,omitempty"`

	// The URL of the public keys, a JSON Web Key Set: https, or http to a
	// loopback address or to a host name without a dot, such as the name of a
	// container. Default: the preset's, or the URL in the discovery document
	// of issuer: <issuer>/.well-known/openid-configuration (OpenID Connect
	// Discovery 1.0).
	JWKS string `json:"jwks,omitempty"`

	// The required issuer of the assertion (claim iss), compared byte for byte.
	// Without jwks it is an https URL (or http, as for jwks), and the discovery
	// document must name the same issuer. Of the presets of identity providers,
	// keycloak requires it; okta (a custom authorization server), supabase, zitadel and
	// cognito accept it instead of their own parameter, and with the others it is an
	// error. Default: the preset's.
	Issuer string `json:"issuer,omitempty"`

	// The accepted audiences of the assertion (claim aud). The assertion must
	// be for one of them. Required, unless require names the application; for
	// aws_alb it is the client id, and optional. With firebase and supabase it is an
	// error, because it is known. With clerk it is optional: without it, a token that
	// has an audience is rejected.
	Audience []string `json:"audience,omitempty"`

	// Further claims that the assertion must have. All of them must hold. A
	// requirement of azp, client_id, cid or appid names the application that
	// the assertion was issued to; then audience is not required. Default: none.
	Require []Requirement `json:"require,omitempty"`

	// The ARNs of the load balancers that may sign assertions. Required for
	// aws_alb; not allowed otherwise.
	Signer []string `json:"signer,omitempty"`

	// The PEM file with the certificate authorities that the certificates of
	// jwks and of the discovery document must be signed by. Default: those of
	// the system.
	CA string `json:"ca,omitempty"`
}

// Requirement is a claim that an assertion must have.
type Requirement struct {
	// The path of the claim: member names and list indices, separated by dots.
	// Write a dot within a member name as \. there. Required.
	Claim string `json:"claim,omitempty"`

	// The accepted values. The claim must be one of them: a string as it is, a
	// number or a boolean as it is written in JSON. If the claim is a list, one
	// of its elements is enough. Required.
	Values []string `json:"values,omitempty"`
}

// UserinfoVerify defines which tokens are accepted before the application is
// called. The rules for a token and its keys are those of verify.
//
// The token's header is the only one of the request that is forwarded: a token in
// another header or in a cookie is sent as Authorization: Bearer. If the response
// has the member sub, it must be equal to the claim sub of the token; otherwise
// the request is rejected with 401 (OpenID Connect Core 1.0, section 5.3.2).
//
// The user's values are read from the response alone, at the paths in userinfo. A
// value that is missing there is not replaced by a claim of the token: the address
// could then be of another time than what says that it is verified, and an id that
// the application gave to one user could be equal to the sub of another.
type UserinfoVerify struct {
	// The source of the token: the name of a request header that holds the token,
	// alone or with the scheme Bearer, or the placeholder of a cookie, such as
	// {http.request.cookie.access_token}. A request with two such headers or
	// cookies is rejected. Default: Authorization.
	Token string `json:"token,omitempty"`

	// The URL of the public keys, as in verify.
	JWKS string `json:"jwks,omitempty"`

	// The required issuer of the token, as in verify. Required.
	Issuer string `json:"issuer,omitempty"`

	// The accepted audiences of the token, as in verify.
	Audience []string `json:"audience,omitempty"`

	// Further claims that the token must have, as in verify.
	Require []Requirement `json:"require,omitempty"`

	// The PEM file with the certificate authorities of the key server, as in
	// verify. Those of the application are in userinfo.ca.
	CA string `json:"ca,omitempty"`
}

// Options returns the options that are those of Verify.
func (v *UserinfoVerify) Options() *Verify {
	return &Verify{JWKS: v.JWKS, Issuer: v.Issuer, Audience: v.Audience, Require: v.Require, CA: v.CA}
}

// VerifiesTokens reports whether the user's identity needs a signed token.
func (c *Common) VerifiesTokens() bool {
	return c.Identity != nil && c.Identity.Verify != nil || c.Userinfo != nil && c.Userinfo.Verify != nil
}
