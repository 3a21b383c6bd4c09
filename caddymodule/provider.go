package caddymodule

import "github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"

// provider is how a service and its directive are called, and what is said of
// them.
type provider struct {
	name      string // in keys and logs
	directive string
	path      string // what the directive serves without a matcher

	// details replace those of problemTable where the options are others.
	details map[exchange.Code]string

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
	refusalHint: "no token has been granted to this config yet: its signature, secret or ids may be the reason; " +
		"Huma has not published how calls are signed",
})
