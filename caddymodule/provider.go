package caddymodule

import (
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

// provider is how a service and its directive are called, and what is said of
// them.
type provider struct {
	name      string // in keys and logs
	directive string
	path      string // what the directive serves without a matcher
	byID      bool   // users are told apart by their id, not their address

	// details replace those of problemTable where the options are others.
	details map[exchange.Code]string

	// sharedOptions are those that all handlers of an account have to agree on.
	sharedOptions string

	// refusalHint goes with refusals of a config that has never had a token.
	refusalHint string

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
	name:      "huma",
	directive: "huma_token",
	path:      "/private/huma-token", // which Huma's quick start uses

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries, redis, tls and registration rate",
	refusalHint: "no token has been granted to this config yet: its signature, secret or ids may be the reason; " +
		"Huma has not published how calls are signed",
})

var humanProvider = newProvider(provider{
	name:      "human_api",
	directive: "human_api_token",
	path:      "/private/human-api-token",
	byID:      true,

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries and redis",
	refusalHint:   "no token has been granted to this config yet: its client_id or client_secret may be the reason",
	details: map[exchange.Code]string{
		exchange.Code(identity.ReasonInvalid): "The identity is not one usable user id.",
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
