package caddymodule

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
)

// HumaToken answers with Huma tokens: it takes the signed-in user of the
// request, signs them in at Huma, registers them there if Huma does not know
// them, and returns the tokens as JSON. It is the endpoint that the SDK of
// Huma asks for, by default at /private/huma-token.
//
// Every text option takes {env.*} and {file.*} placeholders, evaluated when
// the config loads; where a placeholder of the request may stand, it says so.
// Files that say whose service is called, and as whom, are looked at again every
// two seconds: new content that is valid is used without a reload.
// Every file is a regular one, or a link to one, of at most 1 MiB of text that is
// read within 3 seconds. A UTF-8 byte order mark is dropped; UTF-16 is refused.
// A value that is given here wins over the same one in ConfigFile. All problems
// of a config are reported at once.
type HumaToken struct {
	// The huma-config.json that Huma hands out, with the API's address, the
	// project, the client ids and the secret. Its members are unpublished, so
	// it is read tolerantly: nested or flat, camelCase, snake_case or
	// kebab-case. Blanks around values are trimmed, except around the secret.
	// Default: none.
	ConfigFile string `json:"config_file,omitempty"`

	// The base URL of Huma's API, for example
	// https://workspace-gcp-uk.api.huma.com. It is https, or http to a
	// loopback address; it may have a path, and a slash at its end does not
	// count. Required here or in ConfigFile.
	API string `json:"api,omitempty"`

	// The project's id at Huma. Required here or in ConfigFile.
	ProjectID string `json:"project_id,omitempty"`

	// The deployment's id at Huma, sent as the header deploymentId. Required
	// here or in ConfigFile.
	DeploymentID string `json:"deployment_id,omitempty"`

	// The client ids at Huma: one text for all client types, or an object
	// with one for each of ios, android and web. At least one is required
	// here or in ConfigFile.
	ClientID ClientIDs `json:"client_id,omitempty"`

	// The secret that signs the calls. Required, unless the signature is off,
	// here or in ConfigFile. Written as {env.*} or {file.*} it stays a
	// placeholder in the JSON config.
	Secret string `json:"secret,omitempty"`

	// How calls are signed. Huma has not published its algorithm: the default
	// is a documented guess, and everything about it can be set.
	Signature *Signature `json:"signature,omitempty"`

	// Further headers on the calls to Huma, for example Authorization. The
	// values are secrets, and may contain {sig.timestamp}, the Unix time that
	// was signed.
	HeaderUp http.Header `json:"header_up,omitempty"`

	// TLS on the calls to Huma. Default: the system's certificate authorities
	// and no client certificate.
	TLS *TLS `json:"tls,omitempty"`

	// Whether and how users whom Huma does not know are signed up.
	Registration *Registration `json:"registration,omitempty"`

	// The client type of a request that names none: ios, android or web.
	// Default: the only one that has a client id, else such a request is
	// refused with 400.
	ClientType string `json:"client_type,omitempty"`

	Common

	endpoint     endpoint
	registration exchange.Registration
}

// Common is what all token directives share: who is asking, and how the
// directive behaves.
//
// Handlers with the same account, which is the service, the ids and the secret
// as they are written, share its state, also over reloads. So they have to
// agree on Breaker, MaxConcurrent, MaxWaiting and Cache.MaxEntries, and those
// of huma_token on TLS, Registration.Rate and Registration.Burst as well; the
// rest is each one's own.
type Common struct {
	// Who is asking, by what comes with the request. Either this or Userinfo is
	// required.
	Identity *Identity `json:"identity,omitempty"`

	// Who is asking, by what the application says.
	Userinfo *Userinfo `json:"userinfo,omitempty"`

	// Who may set the request headers that Identity reads. Required if it
	// reads any that Identity.Verify does not prove, and not with Userinfo.
	Trust *Trust `json:"trust,omitempty"`

	// How long tokens are kept, in memory and in what replicas share.
	Cache *Cache `json:"cache,omitempty"`

	// What Cache-Control: no-cache on a request does: honor fetches a fresh
	// token, ignore answers from the cache as always. Default: honor.
	NoCache string `json:"no_cache,omitempty"`

	// How long a whole exchange may take, with all its calls, and how long a
	// request waits for one. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long one call may take. A sign-up is never repeated and may take
	// what is left of Timeout. Default: 5s.
	AttemptTimeout caddy.Duration `json:"attempt_timeout,omitempty"`

	// How often a call that failed for a passing reason is made again. A
	// sign-up never is. Default: 1.
	Retries *int `json:"retries,omitempty"`

	// When to stop calling a service that is down.
	Breaker *Breaker `json:"breaker,omitempty"`

	// How many calls may run at the service at once. An exchange waits for one
	// for at most half of the time it has, then it is answered 503. Sign-ups,
	// which may take long, take half of them at most. Default: 64.
	MaxConcurrent int `json:"max_concurrent,omitempty"`

	// How many exchanges may wait for a call beyond those that MaxConcurrent
	// lets run; more are answered 503. Requests that wait for a running
	// exchange do not count. Independent of this, 8 exchanges of one user run
	// at once (half of MaxConcurrent, if that is less) and 8 more wait.
	// Default: 2000.
	MaxWaiting int `json:"max_waiting,omitempty"`

	// How errors are answered: problem is RFC 9457 problem+json, caddy leaves
	// them to handle_errors. Default: problem.
	Errors string `json:"errors,omitempty"`

	// Whether requests are served that a browser sends on behalf of a page of
	// another site: deny or allow. They are those with Sec-Fetch-Site:
	// cross-site, or, without that header, with an Origin whose host and port
	// are not the request's. Default: deny.
	CrossSite string `json:"cross_site,omitempty"`

	// Tell the service to which trace a call belongs, in the header traceparent
	// (W3C Trace Context) and nothing else. Only requests that Caddy's tracing
	// handler has traced belong to one. Default: false.
	TraceUpstream bool `json:"trace_upstream,omitempty"`

	// Keys the hash by which logs name a user, a secret. Default: random per
	// process, so that hashes of two processes, or of before and after a
	// restart, cannot be compared.
	HashKey string `json:"hash_key,omitempty"`
}

// Signature is how calls to Huma are signed.
type Signature struct {
	// hmac-sha256, hmac-sha512, hawk or off. Default: hmac-sha256.
	Algorithm string `json:"algorithm,omitempty"`

	// How an HMAC is written: hex, base64 or base64url (without padding).
	// Default: hex.
	Encoding string `json:"encoding,omitempty"`

	// What an HMAC is computed over: text with {sig.body}, {sig.method},
	// {sig.path}, {sig.timestamp} (Unix seconds) and {sig.deployment_id}.
	// Default: {sig.body}.
	Payload string `json:"payload,omitempty"`

	// The header that carries it. With hawk it carries the mac as well as
	// Authorization does. Default: signature.
	HeaderName string `json:"header_name,omitempty"`

	// The key's id. Required with hawk, and only there.
	ID string `json:"id,omitempty"`
}

// TLS is how the connection to the service is secured.
type TLS struct {
	// A PEM file with the certificate authorities to trust instead of the
	// system's.
	CA string `json:"ca,omitempty"`

	// A PEM file with a client certificate, with ClientKey. Default: none.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// A PEM file with the key of ClientCertificate. Default: none.
	ClientKey string `json:"client_key,omitempty"`
}

// Registration is what happens to users whom Huma does not know.
type Registration struct {
	// Sign nobody up: unknown users are answered 403 not_registered.
	Disabled bool `json:"disabled,omitempty"`

	// How many sign-ups are sent at most, as <n>/<s|m|h>, over all users of
	// the account. Default: 50/s.
	Rate string `json:"rate,omitempty"`

	// How many sign-ups may be sent at once before Rate holds. Default: 500.
	Burst int `json:"burst,omitempty"`

	// For how long only sign-in decides after a sign-up whose end is unclear.
	// Default: 1m.
	Hold caddy.Duration `json:"hold,omitempty"`

	// Sign the consent on the user's behalf after a sign-up. If that fails
	// the user gets the token all the same. Default: false.
	SignConsent bool `json:"sign_consent,omitempty"`

	// The user's time zone, an IANA name. Default: not sent.
	Timezone string `json:"timezone,omitempty"`

	// The user's language, a BCP 47 tag. Default: not sent.
	Language string `json:"language,omitempty"`

	// Sent as validationData.activationCode, a secret. Default: not sent.
	ActivationCode string `json:"activation_code,omitempty"`

	// Further members of userAttributes. First and last name are sent as
	// givenName and familyName if the identity has them.
	Attribute map[string]string `json:"attribute,omitempty"`
}

// Identity says where the request tells who is asking. A source is the name of
// a request header, which needs Trust, or a Caddy placeholder of the request
// that no client can set. If it holds JSON, base64 of JSON or a token, the path
// of the value follows behind a space: "X-Userinfo user.email". A dot within a
// name is written \. there. A source that is given wins over the preset's.
type Identity struct {
	// The authentication layer in front, which sets the sources below.
	Preset string `json:"preset,omitempty"`

	// The user's e-mail address. Required here or by the preset, but for
	// human_api_token, which sends it with the request for a session token if
	// there is one.
	Email string `json:"email,omitempty"`

	// A stable id of the user. Required here or by the preset for
	// human_api_token, which tells users apart by it. Huma knows users by their
	// address.
	UserID string `json:"user_id,omitempty"`

	// The user's name, for a sign-up at Huma. It is split at its last space.
	Name string `json:"name,omitempty"`

	// The user's first name, for a sign-up at Huma. It wins over Name.
	FirstName string `json:"first_name,omitempty"`

	// The user's last name, for a sign-up at Huma. It wins over Name.
	LastName string `json:"last_name,omitempty"`

	// Whether the address is verified: true, 1, yes or on. If this source is
	// given, anything else is refused with 403. Without it, a document that
	// holds the address is refused as well if it says beside it that it is not
	// verified: email_verified, verified or is_verified. For human_api_token it
	// needs Email, and then a user without an address is nobody.
	Verified string `json:"verified,omitempty"`

	// The e-mail domains that are served, exactly as written, subdomains not
	// included. For human_api_token it needs Email, and then a user without an
	// address is nobody. Default: all.
	Domains []string `json:"domains,omitempty"`

	// How names are written: auto (RFC 2047, RFC 5987, UTF-8, Latin-1, doubly
	// encoded UTF-8), utf8, latin1, rfc2047, percent or base64. Default: auto.
	NameEncoding string `json:"name_encoding,omitempty"`

	// Which signed assertions are believed. With it, sources with a path are
	// read from a token that has to verify, and need no Trust.
	Verify *Verify `json:"verify,omitempty"`
}

// Verify says which signed assertions (JWTs) are believed. They are signed with
// a public key, and neither expired nor of the future, give or take 30 seconds.
// The keys are kept in memory, fetched again as they age and when an assertion
// names an unknown one (at most once in 5 seconds; with aws_alb, where each key
// is fetched by itself, 5 times a second), and kept while the key server is
// down.
type Verify struct {
	// The URL of the public keys, a JSON Web Key Set: https, or http to a
	// loopback address. Default: the preset's.
	JWKS string `json:"jwks,omitempty"`

	// Who has to have issued the assertion (iss), exactly as written there.
	// Default: the preset's.
	Issuer string `json:"issuer,omitempty"`

	// Whom the assertion has to be for (aud): one of these. Required but for
	// aws_alb, where it is the client id.
	Audience []string `json:"audience,omitempty"`

	// The ARNs of the load balancers that may sign. Required for aws_alb, and
	// only there.
	Signer []string `json:"signer,omitempty"`
}

// Userinfo asks the application who is asking, by the cookies and the
// authorization of the request. The application is asked once for each request
// whose answer needs it; nothing of what it says is passed on. 401 and 403 mean
// that nobody is signed in; 200 with a JSON object or list says who is, and with
// null that nobody is; anything else is answered 503.
type Userinfo struct {
	// The URL of the application's own route for the signed-in user, for
	// example http://localhost:3000/api/me. Required.
	URL string `json:"url,omitempty"`

	// The request headers that are passed on to it. A request with none of
	// them is nobody's. Host stands for the request's host. Default:
	// Authorization and Cookie.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// The path of the user's e-mail address in the answer: names of members
	// and indices of lists with dots between them, such as user.email or
	// data.0.email. A dot within a name is written \.. Required, but for
	// human_api_token.
	Email string `json:"email,omitempty"`

	// The path of a stable id of the user. Required for human_api_token.
	UserID string `json:"user_id,omitempty"`

	// The path of the user's name, as in Identity.
	Name string `json:"name,omitempty"`

	// The path of the user's first name, as in Identity.
	FirstName string `json:"first_name,omitempty"`

	// The path of the user's last name, as in Identity.
	LastName string `json:"last_name,omitempty"`

	// The path of whether the address is verified, as in Identity.
	Verified string `json:"verified,omitempty"`

	// The e-mail domains that are served, as in Identity. Default: all.
	Domains []string `json:"domains,omitempty"`

	// How long the application may take, at most as long as a request may wait
	// (timeout of the directive). Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// Trust says who may set request headers that name the user.
type Trust struct {
	// forward_auth reads the answer of the forward_auth that ran before, and
	// never the request's own headers. proxies believes the request's headers
	// if the direct peer is one of Ranges.
	Mode string `json:"mode,omitempty"`

	// forward_auth: the upstream that the last proxy must have asked, as
	// written in the forward_auth line. Default: any.
	Upstream string `json:"upstream,omitempty"`

	// proxies: CIDR ranges, addresses, or private_ranges. Default: the
	// server's trusted_proxies.
	Ranges []string `json:"ranges,omitempty"`
}

// Cache is how tokens are kept.
type Cache struct {
	// Keep nothing.
	Disabled bool `json:"disabled,omitempty"`

	// How long a token is kept, counted from before the call that fetched it.
	// A token of Huma is never kept into its own last 30 seconds (or last
	// tenth, if that is shorter), one of Human API never into its last 5
	// minutes. Default: 60s; human_api_token: as long as it lives.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// How many users are kept. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// How long a refusal of the service, or its rejection of our request for
	// the user (4xx), is repeated without calling it again; 0 not at all.
	// DELETE does not end it. Default: 5s.
	NegativeTTL *caddy.Duration `json:"negative_ttl,omitempty"`

	// Placeholders of the request that tell apart tokens of one user, for
	// example a device id: {http.request.header.X-Device-Id}. At most 8 tokens
	// are kept of a user. Default: none.
	Vary []string `json:"vary,omitempty"`

	// The store that replicas share behind their memories, such as
	// {"module": "redis"}. Default: each replica works for itself.
	//
	// The module redis is a package of its own: build Caddy with
	// --with github.com/caddy-huma/caddy-huma/caddymodule/redis.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=caddy_huma.stores inline_key=module"`
}

// Breaker is a circuit breaker: it stops calls to a service that is down, so
// that requests are answered 503 at once. A failure is a call without a
// connection or an answer in time, or with a status of 408 or 5xx.
type Breaker struct {
	// Never stop calls.
	Disabled bool `json:"disabled,omitempty"`

	// How many calls in a row must fail to open the breaker, if they are for at
	// least 3 different users. Any other answer ends the row. Default: 20.
	Failures int `json:"failures,omitempty"`

	// How long an open breaker stops all calls. Then one is made, and while it
	// has no answer one more each second. A success closes the breaker. A
	// failure stops calls for that user for as long again, and for all users
	// once calls for 3 have failed. Default: 5s.
	Open caddy.Duration `json:"open,omitempty"`
}

// ClientIDs are the client ids at Huma by client type. In JSON it is an
// object, or a text for one id that serves all types.
type ClientIDs map[string]string

// allTypes is the key of a client id that serves every client type.
const allTypes = "*"

// MarshalJSON implements json.Marshaler.
func (c ClientIDs) MarshalJSON() ([]byte, error) {
	if id, ok := c[allTypes]; ok && len(c) == 1 {
		return json.Marshal(id)
	}
	return json.Marshal(map[string]string(c))
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *ClientIDs) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*c = ClientIDs{allTypes: one}
		return nil
	}
	return json.Unmarshal(b, (*map[string]string)(c))
}
