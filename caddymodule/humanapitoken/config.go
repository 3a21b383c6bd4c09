package humanapitoken

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/refreshtoken"
)

// HumanAPIToken is an HTTP handler that responds with tokens of Human API Connect.
// It identifies the signed-in user of the request and requests a session token from
// Human API, or an id token once the user has connected a source of data. It responds
// with the token as JSON. A page opens Human API Connect with this token. By default
// the handler serves /private/human-api-token.
//
// It has the same options for identity, cache, limits and errors as huma_token, with
// two differences. It distinguishes users by their id: identity or userinfo requires a
// user_id, and the email address is optional. And it caches a token for its whole
// lifetime except the last five minutes, unless cache sets a shorter time.
//
// All text options accept {env.*} and {file.*} placeholders, which are evaluated
// when the config loads. Options that accept placeholders of the request say so.
//
// Files that hold the service's address, its ids or credentials are checked for
// changes every two seconds. New content is used without a config reload, if it
// is valid. Every file must be a regular file, or a link to one, of at most 1 MiB
// of text, and must be readable within 3 seconds. A UTF-8 byte order mark is
// removed; UTF-16 is rejected.
//
// Handlers with the same API, client_id and client_secret share the token cache, the
// limits and the circuit breaker, also across config reloads. They must have the same
// breaker, max_concurrent, max_waiting and cache.max_entries.
//
// All errors of a config are reported at once.
type HumanAPIToken struct {
	// The base URL of Human API's authentication service. It must be https, or
	// http to a loopback address. It may have a path; a slash at its end is
	// ignored. Default: https://auth.humanapi.co.
	API string `json:"api,omitempty"`

	// The application's id at Human API. Each user belongs to one application,
	// so two applications share no tokens and no state. Required.
	ClientID string `json:"client_id,omitempty"`

	// The application's secret. It is sent to Human API with each call, and
	// never to a browser. Required. If it is written as {env.*} or {file.*}, the
	// JSON config contains the placeholder and not the secret.
	ClientSecret string `json:"client_secret,omitempty"`

	// Additional scopes to request with each token. A cached token that was
	// requested with other scopes is not used. Default: none.
	ExtraScopes []string `json:"extra_scopes,omitempty"`

	// Where the refresh tokens of Human API are saved. Default: nowhere.
	RefreshTokens *RefreshTokens `json:"refresh_tokens,omitempty"`

	config.Common

	endpoint    endpoint.Endpoint
	hints       connect.Hints
	refreshKeys refreshtoken.Keys // nil: refresh tokens are dropped
}
