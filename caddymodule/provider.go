package caddymodule

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// provider is how a service and its directive are called, and what is said of
// them.
type provider struct {
	name      string // in keys, logs and metrics
	directive string
	path      string // what the directive serves without a matcher
	byID      bool   // users are told apart by their id, not their address

	// details replace those of problemTable where the options are others.
	details map[exchange.Code]string

	// sharedOptions are those that all handlers of an account have to agree on.
	sharedOptions string

	// unknownUser is what caddy huma token says of a user whom it has signed up
	// nowhere, and what signing them up would be.
	unknownUser string

	// refusalHint goes with refusals of a config that has never had a token.
	refusalHint string

	// calls are those at the service, as metrics name them.
	calls map[exchange.Op]string

	// The placeholders that a request leaves behind for logs and error pages.
	outcomeKey, userKey, codeKey string
}

// newProvider fills in what follows from the names.
func newProvider(p provider) *provider {
	prefix := "http." + p.directive + "."
	p.outcomeKey, p.userKey, p.codeKey = prefix+"outcome", prefix+"user", prefix+"error.code"
	return &p
}

var humaProvider = newProvider(provider{
	name:      nameHuma,
	directive: "huma_token",
	path:      "/private/huma-token", // which Huma's quick start uses
	calls: map[exchange.Op]string{
		exchange.OpSignIn: callSignIn, exchange.OpSignUp: callSignUp, exchange.OpConsent: callConsent,
	},

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries, redis, tls and registration rate",
	refusalHint: "no token has been granted to this config yet: its signature, secret or ids may be the reason; " +
		"Huma has not published how calls are signed",
	unknownUser: "Huma does not know this user, and nobody was signed up. --register would sign the user up there, with this address and no name; that cannot be taken back from here.",
})

var humanProvider = newProvider(provider{
	name:      nameHuman,
	directive: "human_api_token",
	path:      "/private/human-api-token",
	byID:      true,
	calls:     map[exchange.Op]string{exchange.OpSession: callSession, exchange.OpID: callID},

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries and redis",
	refusalHint:   "no token has been granted to this config yet: its client_id or client_secret may be the reason",
	unknownUser: "Human API does not know this user, or the user has connected no source of data yet; only an id token was asked for. " +
		"--register would ask for a session token as well, which makes the user there; that cannot be taken back from here.",
	details: map[exchange.Code]string{
		exchange.Code(identity.ReasonInvalid): "The credentials of the request are not valid, or do not name one user by an id.",
		exchange.CodeConfig:                   "The service refuses the credentials of this site; see the options client_id and client_secret.",
		exchange.CodeRejected:                 "The service refuses the request of this site as wrong; see the options api and extra_scopes.",
	},
})

// providers are all there are.
var providers = []*provider{humaProvider, humanProvider}

// providerOf finds the provider of a directive.
func providerOf(directive string) (*provider, bool) {
	for _, p := range providers {
		if p.directive == directive {
			return p, true
		}
	}
	return nil, false
}

func directiveNames() (names []string) {
	for _, p := range providers {
		names = append(names, p.directive)
	}
	return names
}
