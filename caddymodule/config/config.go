// Package config has the options that both token directives share, as JSON and in the
// Caddyfile. Packages humatoken and humanapitoken embed Common.
package config

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// MinDuration is the shortest duration that makes sense.
const MinDuration = time.Millisecond

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

// The modes of trust.
const (
	TrustForwardAuth = "forward_auth"
	TrustProxies     = "proxies"
)

// NameEncodings are the words of the option name_encoding.
var NameEncodings = []string{"auto", "utf8", "latin1", "rfc2047", "percent", "base64"}
