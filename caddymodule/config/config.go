// Package config defines the options that both token directives share, in JSON and in
// the Caddyfile. Packages humatoken and humanapitoken embed Common.
package config

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// MinDuration is the minimum of the duration options, unless an option has its own.
const MinDuration = time.Millisecond

// Common holds the options that all token directives share: how to identify the
// user of a request, and caching, limits and errors.
//
// Handlers with the same account share its state, also across config reloads.
// The account is the service, the ids and the secret as written in the config.
// Such handlers must have the same breaker, max_concurrent, max_waiting and
// cache.max_entries; for huma_token also the same TLS, registration.rate and
// registration.burst. All other options may differ.
type Common struct {
	// Identifies the user from the request's headers or placeholders. Either
	// this or userinfo is required.
	Identity *Identity `json:"identity,omitempty"`

	// Identifies the user by calling the application. Mutually exclusive with
	// identity.
	Userinfo *Userinfo `json:"userinfo,omitempty"`

	// Which proxy or auth server may set the headers that identity reads.
	// Required if identity reads a header that identity.verify does not
	// verify. Not allowed with userinfo.
	Trust *Trust `json:"trust,omitempty"`

	// The token cache, in memory and in the store that replicas share.
	Cache *Cache `json:"cache,omitempty"`

	// What the directive does with Cache-Control: no-cache on a request: honor
	// requests a new token, ignore responds from the cache as usual. Default:
	// honor.
	NoCache string `json:"no_cache,omitempty"`

	// The timeout of a whole exchange with all its calls to the service, and of
	// a request that waits for an exchange. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The timeout of one call. A sign-up is never retried and may take the
	// rest of timeout. Default: 5s.
	AttemptTimeout caddy.Duration `json:"attempt_timeout,omitempty"`

	// How many times a call is retried after a transient failure. 0 disables
	// retries. A sign-up is never retried. Default: 1.
	Retries *int `json:"retries,omitempty"`

	// The circuit breaker, which stops calls to a service that is down.
	Breaker *Breaker `json:"breaker,omitempty"`

	// The maximum number of concurrent calls to the service. An exchange waits
	// for a free call for at most half of its remaining time; then the response
	// is 503. Sign-ups may take long, so they use at most half of the calls.
	// Default: 64.
	MaxConcurrent int `json:"max_concurrent,omitempty"`

	// The maximum number of exchanges that wait for a call, in addition to
	// those that max_concurrent lets run. Further exchanges get a 503 response.
	// Requests that wait for a running exchange do not count. Independent of
	// this option, at most 8 exchanges of one user run at once (half of
	// max_concurrent, if that is less) and at most 8 more wait. Default: 2000.
	MaxWaiting int `json:"max_waiting,omitempty"`

	// The format of error responses: problem writes RFC 9457 problem+json,
	// caddy passes errors to handle_errors. Default: problem.
	Errors string `json:"errors,omitempty"`

	// Whether to serve cross-site requests, which a browser sends for a page of
	// another site: deny or allow. A request is cross-site if it has
	// Sec-Fetch-Site: cross-site, or, without that header, an Origin whose host
	// and port differ from the request's. Origins in allow_origins are always
	// served. Default: deny.
	CrossSite string `json:"cross_site,omitempty"`

	// The origins of web apps on other hosts that may call the endpoint and read its
	// responses (CORS), as browsers send them in the header Origin: scheme, host and,
	// if it is not the default, port, without a path and in lower case, such as
	// https://app.example.com, or capacitor://localhost for an app in a WebView. The
	// requests may have cookies, and cross_site does not apply to them. The values *
	// and null, and wildcards, are an error. Every response has Vary: Origin then.
	// Default: none.
	AllowOrigins []string `json:"allow_origins,omitempty"`

	// Send the trace context of a request to the service in the header
	// traceparent (W3C Trace Context), and no other trace header. It is sent
	// only for requests that Caddy's tracing handler has traced. Default: false.
	TraceUpstream bool `json:"trace_upstream,omitempty"`

	// The key of the hash that replaces a user's name in logs, a secret.
	// Default: random per process, so that hashes of two processes, or from
	// before and after a restart, cannot be compared.
	HashKey string `json:"hash_key,omitempty"`
}

// Cache configures how tokens and error responses are cached.
type Cache struct {
	// Disable the cache. Default: false.
	Disabled bool `json:"disabled,omitempty"`

	// How long a token stays in the cache. The time starts before the call that
	// fetched the token. A token of Huma is never served from the cache in its
	// last 30 seconds (or the last tenth of its lifetime, if that is shorter),
	// a token of Human API never in its last 5 minutes. Default: 60s;
	// human_api_token: as long as it lives.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The maximum number of users in the cache. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// How long a refusal is cached: the service refused the user, or rejected
	// the plugin's request for the user (4xx). Until then the user gets the same
	// error without another call. 0 disables this. DELETE does not evict a
	// cached refusal. Default: 5s.
	NegativeTTL *caddy.Duration `json:"negative_ttl,omitempty"`

	// Placeholders of the request that distinguish tokens of one user in the
	// cache, for example a device id: {http.request.header.X-Device-Id}. The
	// cache holds at most 8 tokens per user. Default: none.
	Vary []string `json:"vary,omitempty"`

	// The store that replicas share behind their in-memory caches, such as
	// {"module": "redis"}. Default: none, replicas share nothing.
	//
	// The module redis is a separate package: build Caddy with
	// --with github.com/caddy-huma/caddy-huma/caddymodule/redis.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=caddy_huma.stores inline_key=module"`
}

// Breaker configures the circuit breaker. It stops calls to a service that is
// down, so that requests get a 503 response at once. A call fails if there is no
// connection or no response in time, or if the status is 408 or 5xx.
type Breaker struct {
	// Disable the circuit breaker. Default: false.
	Disabled bool `json:"disabled,omitempty"`

	// The number of consecutive failures that opens the breaker, if they are
	// for at least 3 different users. Any other response resets the count.
	// Default: 20.
	Failures int `json:"failures,omitempty"`

	// How long an open breaker stops all calls. Then it allows one call as a
	// probe, and one more each second while there is no response. A success
	// closes the breaker. A failure stops the calls for that user for the same
	// time again, and the calls for all users once the calls for 3 users have
	// failed. Default: 5s.
	Open caddy.Duration `json:"open,omitempty"`
}
