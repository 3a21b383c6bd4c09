package config

import "github.com/caddyserver/caddy/v2"

// Identity identifies the user from the request. A source is the name of a
// request header, which requires trust, or a Caddy placeholder of the request
// that no client can set. If the source holds JSON, base64 of JSON or a token,
// append a space and the path of the value: "X-Userinfo user.email". Write a dot
// within a member name as \. there and a space as "\ ". A source that is set here
// overrides the preset's.
//
// Several paths are separated by spaces. The first value that is there and not
// null or empty is used. If that value is not valid, the request is rejected.
//
// With verify, a source may also be a cookie that holds a signed token:
// "{http.request.cookie.__session} email". A request with two cookies of that
// name is rejected.
//
// Do not use preferred_username or nickname as an email address, unless one
// tenant's directory sets them: in Keycloak, Zitadel, authentik and Okta, users
// choose them.
type Identity struct {
	// The name of the authentication layer in front. It sets defaults for the
	// sources below. Default: none.
	Preset string `json:"preset,omitempty"`

	// The source of the user's email address. Required here or by the preset.
	// For human_api_token it is optional: if there is an address, the directive
	// sends it with the request for a session token.
	Email string `json:"email,omitempty"`

	// The source of a stable id of the user. Required here or by the preset for
	// human_api_token, which distinguishes users by this id. Huma distinguishes
	// users by their email address.
	UserID string `json:"user_id,omitempty"`

	// The source of the user's full name, for a sign-up at Huma. The name is
	// split into first and last name at its last space, or, if it is written
	// "Last, First", at its comma. The texts (null), null, undefined and - are
	// no name.
	Name string `json:"name,omitempty"`

	// The source of the user's first name, for a sign-up at Huma. It overrides
	// name.
	FirstName string `json:"first_name,omitempty"`

	// The source of the user's last name, for a sign-up at Huma. It overrides
	// name.
	LastName string `json:"last_name,omitempty"`

	// The source that says whether the email address is verified: true, 1, yes,
	// on or a time. If this source is set, any other value is rejected with 403.
	//
	// If the address comes from a document, the request is rejected too if a
	// member next to the address or one level above it says that it is not
	// verified. The members email_verified, emailVerified, emailVerification,
	// is_verified, verified and confirmed do so with false, 0, an empty text or
	// the like, the members email_verified_at, emailVerifiedAt,
	// email_confirmed_at and confirmed_at also with null or a zero date. If this
	// source is set, is_verified, verified, confirmed and confirmed_at are
	// ignored, because they may be about something else.
	//
	// With human_api_token this option requires email, and a user without an
	// address is then rejected. Default: the preset's, which
	// rejects only a value such as false or 0.
	//
	// The presets of identity providers (auth0, clerk, cognito, entra, firebase,
	// keycloak, okta, supabase, zitadel) demand that the token says true, and
	// reject any other value, and a token without an address. With these, the
	// word assumed states that every address is verified: only an explicit no is
	// rejected then. The word off checks nothing. This option is required for
	// supabase, whose tokens do not say it, and, with these presets, beside email.
	Verified string `json:"verified,omitempty"`

	// The allowed email domains, in Unicode or in punycode. Subdomains of a
	// listed domain are not included. With human_api_token this option requires
	// email, and a user without an address is then rejected. Default: all.
	Domains []string `json:"domains,omitempty"`

	// The encoding of names: auto (detects RFC 2047, RFC 5987, UTF-8, Latin-1
	// and doubly encoded UTF-8), utf8, latin1, rfc2047, percent or base64.
	// Default: auto.
	NameEncoding string `json:"name_encoding,omitempty"`

	// The authentication server to call for each request. The sources that are
	// header names then name headers of its response, and need no trust. It
	// cannot be combined with trust or verify. Default: none.
	AuthServer *AuthServer `json:"auth_server,omitempty"`

	// How to verify signed assertions. If it is set, sources with a path are
	// read from a token whose signature must be valid, and need no trust.
	// Required by the presets of identity providers. Default: none.
	Verify *Verify `json:"verify,omitempty"`
}

// AuthServer is an authentication server, such as Authelia, that the directive
// calls for each request, as forward_auth does: also for DELETE and if the token
// is cached, but not for OPTIONS. The call is a GET with the cookies, the
// authorization and the user agent of the request. Its X-Forwarded-* headers
// say where the request was sent, before any rewrite.
//
// If the auth server responds with 2xx, the headers of its response identify
// the user, and its cookies (Set-Cookie) are added to the response to the
// client. If it responds with 401 or a redirect, or if the request has no
// credentials, the request is unauthenticated (401). If it responds with 403,
// the client gets 403. After any other response, or none, the client gets 503.
type AuthServer struct {
	// The URL of the auth server: http or https, with any host. A URL without
	// a path, or with the path /, gets the preset's path, for example
	// /api/authz/forward-auth for authelia. Required.
	URL string `json:"url,omitempty"`

	// The request headers that are forwarded in addition to Authorization,
	// Cookie and User-Agent. A request with none of Authorization, Cookie and
	// these headers is unauthenticated; the auth server is not called. Default:
	// none.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// The timeout of the call. It never exceeds the timeout of the directive,
	// which limits how long a request waits. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The PEM file with the certificate authorities that the auth server's
	// certificate must be signed by. Default: those of the system.
	CA string `json:"ca,omitempty"`
}

// Userinfo identifies the user by calling the application with the cookies and
// the authorization of the request. The directive calls the application once for
// each request whose response depends on the user, except as cache says. It
// forwards nothing of the application's response to the client.
//
// If the application responds with 401, or with 200 and null, the request is
// unauthenticated. If it responds with 403, the client gets 403. If it responds
// with 200 and a JSON object or list, this document identifies the user. After
// any other response the client gets 503.
type Userinfo struct {
	// The URL of the application's route that returns the signed-in user, for
	// example http://localhost:3000/api/me, or, with verify, of an OpenID
	// provider's userinfo endpoint. Required.
	URL string `json:"url,omitempty"`

	// The request headers that are forwarded to the application. A request
	// without any of these headers is unauthenticated; the application is not
	// called. Host stands for the request's host. It cannot be combined with
	// verify. Default: Authorization and Cookie.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// The path of the user's email address in the application's response:
	// member names and list indices, separated by dots, such as user.email or
	// data.0.email. Write a dot within a member name as \. there. Required,
	// except for human_api_token.
	Email string `json:"email,omitempty"`

	// The path of a stable id of the user. Required for human_api_token without
	// verify. Default with verify: sub.
	UserID string `json:"user_id,omitempty"`

	// The path of the user's name, as in identity.
	Name string `json:"name,omitempty"`

	// The path of the user's first name, as in identity.
	FirstName string `json:"first_name,omitempty"`

	// The path of the user's last name, as in identity.
	LastName string `json:"last_name,omitempty"`

	// The path of the member that says whether the address is verified, as in
	// identity.
	Verified string `json:"verified,omitempty"`

	// The allowed email domains, as in identity. Default: all.
	Domains []string `json:"domains,omitempty"`

	// The timeout of the call to the application. It never exceeds the timeout
	// of the directive, which limits how long a request waits. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The PEM file with the certificate authorities that the application's
	// certificate must be signed by. Default: those of the system.
	CA string `json:"ca,omitempty"`

	// How to verify the signed token (JWT) of the request before the application
	// is called. Default: no token is verified.
	Verify *UserinfoVerify `json:"verify,omitempty"`

	// How long the application's response to a verified token is used again for
	// the same token: at most 5m, and never after the token has expired. The
	// token is verified each time, but a session that ends at the application
	// stays valid here for so long. At most 5,000 responses of at most 32 KiB (in
	// memory) are kept, and none of a rejected user. It requires verify. Default:
	// 0, each request calls the application.
	Cache caddy.Duration `json:"cache,omitempty"`
}

// Trust defines which proxy or auth server may set the headers that name the
// user.
type Trust struct {
	// forward_auth reads the headers from the response of the auth server that
	// forward_auth called before this handler, and never from the request.
	// proxies reads the request's headers if the direct peer is in ranges.
	Mode string `json:"mode,omitempty"`

	// forward_auth: the upstream that the last proxy before this handler must
	// have called, as written in the forward_auth line. Default: any.
	Upstream string `json:"upstream,omitempty"`

	// proxies: CIDR ranges, addresses, or private_ranges. Default: the
	// server's trusted_proxies.
	Ranges []string `json:"ranges,omitempty"`
}

// The values of Trust.Mode.
const (
	TrustForwardAuth = "forward_auth"
	TrustProxies     = "proxies"
)

// NameEncodings lists the values of the option name_encoding.
var NameEncodings = []string{"auto", "utf8", "latin1", "rfc2047", "percent", "base64"}
