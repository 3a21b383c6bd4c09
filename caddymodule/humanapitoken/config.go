package humanapitoken

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
)

// HumanAPIToken answers with tokens of Human API Connect: it takes the
// signed-in user of the request, asks Human API for a session token, or for an
// id token once the user has connected a source of data, and returns it as JSON.
// A page opens Human API Connect with it. By default it serves
// /private/human-api-token.
//
// It shares its identity, cache, limits and errors with huma_token, with two
// differences: users are told apart by their id, so that Identity or Userinfo
// needs a user_id, and the e-mail address is optional; and a token is kept for
// its whole life less the last five minutes, unless Cache says less.
//
// Every text option takes {env.*} and {file.*} placeholders, evaluated when
// the config loads; where a placeholder of the request may stand, it says so.
// Files that say whose service is called, and as whom, are looked at again every
// two seconds: new content that is valid is used without a reload.
// Every file is a regular one, or a link to one, of at most 1 MiB of text that is
// read within 3 seconds. A UTF-8 byte order mark is dropped; UTF-16 is refused.
// All problems of a config are reported at once.
type HumanAPIToken struct {
	// The base URL of Human API's authentication service. It is https, or http
	// to a loopback address; it may have a path, and a slash at its end does
	// not count. Default: https://auth.humanapi.co.
	API string `json:"api,omitempty"`

	// The application's id at Human API. Users belong to one application, so
	// nothing is shared between two. Required.
	ClientID string `json:"client_id,omitempty"`

	// The application's secret. It is sent with each call, and never to a
	// browser. Required. Written as {env.*} or {file.*} it stays a placeholder
	// in the JSON config.
	ClientSecret string `json:"client_secret,omitempty"`

	// Further scopes to ask for with each token. A token that was asked for
	// with others is not handed out. Default: none.
	ExtraScopes []string `json:"extra_scopes,omitempty"`

	config.Common

	endpoint endpoint.Endpoint
	hints    connect.Hints
}
