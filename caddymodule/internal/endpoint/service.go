package endpoint

import (
	"sync"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
)

// Service holds the names, metrics and messages of one token API and its directive.
type Service struct {
	Name      string // in keys, logs and metrics
	Directive string // the name of the Caddyfile directive
	Path      string // the path that the directive matches if it has no matcher
	ByID      bool   // users are identified by their id instead of their email address

	// Details replace the details of problem.Table for errors whose options differ
	// between the services. Nil: none.
	Details map[exchange.Code]string

	// sharedOptions lists the options that all handlers of an account must set
	// equally. It is part of an error message.
	sharedOptions string

	// UnknownUser is the message of caddy huma token for a user whom the service does
	// not know, if the command did not sign up the user. It says what the flag
	// --register would do.
	UnknownUser string

	// RefusalHint is the hint for a refusal if no exchange of the config has
	// succeeded yet.
	RefusalHint string

	// calls maps the calls at the service to their names in metrics.
	calls map[exchange.Op]string

	// callResult classifies the error of one attempt at a call. The error is nil if
	// the attempt succeeded.
	callResult func(exchange.Op, error) exchange.CallResult

	// metrics returns the series of the service. They are created by its first call,
	// when a config has the directive, so that an unused service has no series.
	metrics func() *metrics.ServiceMetrics

	// The names of the placeholders that a handled request sets for logs and error
	// pages.
	outcomeKey, userKey, codeKey string
}

// newService returns p with the fields that are derived from its names.
func newService(s Service) *Service {
	prefix := "http." + s.Directive + "."
	s.outcomeKey, s.userKey, s.codeKey = prefix+"outcome", prefix+"user", prefix+"error.code"
	s.metrics = sync.OnceValue(func() *metrics.ServiceMetrics { return metrics.ForService(s.Name, s.calls) })
	return &s
}

// Huma is the service of huma_token.
var Huma = newService(Service{
	Name:      metrics.Huma,
	Directive: "huma_token",
	Path:      "/private/huma-token", // the path in Huma's quick start
	calls: map[exchange.Op]string{
		exchange.OpSignIn: metrics.CallSignIn, exchange.OpSignUp: metrics.CallSignUp, exchange.OpConsent: metrics.CallConsent,
	},
	callResult: login.CallResult,

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries, redis, tls and registration rate",
	RefusalHint: "no token exchange has succeeded with this config yet; check its signature, secret and IDs " +
		"(Huma has not published how calls are signed)",
	UnknownUser: "Huma does not know this user. With --register, the command signs up the user at Huma, with this email address and no name; it cannot undo that.",
})

// HumanAPI is the service of human_api_token.
var HumanAPI = newService(Service{
	Name:      metrics.HumanAPI,
	Directive: "human_api_token",
	Path:      "/private/human-api-token",
	ByID:      true,
	calls:     map[exchange.Op]string{exchange.OpSession: metrics.CallSession, exchange.OpID: metrics.CallID},

	callResult: connect.CallResult,

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries and redis",
	RefusalHint:   "no token exchange has succeeded with this config yet; check its client_id and client_secret",
	UnknownUser: "Human API does not know this user, or the user has not connected a data source yet; only an id token was requested. " +
		"With --register, the command also requests a session token, which creates the user at Human API; it cannot undo that.",
	Details: map[exchange.Code]string{
		exchange.Code(identity.ReasonInvalid): "The credentials of the request are not valid, or do not identify one user by ID.",
		exchange.CodeConfig:                   "The service rejects the credentials of this site; see the options client_id and client_secret.",
		exchange.CodeRejected:                 "The service rejects the request of this site as invalid; see the options api and extra_scopes.",
	},
})

// services lists all services.
var services = []*Service{Huma, HumanAPI}

// ServiceOf returns the service of a directive. The bool is false if the directive is not
// one of this plugin.
func ServiceOf(directive string) (*Service, bool) {
	for _, s := range services {
		if s.Directive == directive {
			return s, true
		}
	}
	return nil, false
}

// DirectiveNames returns the names of the plugin's directives.
func DirectiveNames() (names []string) {
	for _, s := range services {
		names = append(names, s.Directive)
	}
	return names
}
