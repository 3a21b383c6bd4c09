package endpoint

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
)

// Service is how a service and its directive are called, and what is said of
// them.
type Service struct {
	Name      string // in keys, logs and metrics
	Directive string
	path      string // what the directive serves without a matcher
	ByID      bool   // users are told apart by their id, not their address

	// details replace those of problemTable where the options are others.
	Details map[exchange.Code]string

	// sharedOptions are those that all handlers of an account have to agree on.
	sharedOptions string

	// unknownUser is what caddy huma token says of a user whom it has signed up
	// nowhere, and what signing them up would be.
	UnknownUser string

	// refusalHint goes with refusals of a config that has never had a token.
	RefusalHint string

	// calls are those at the service, as metrics name them.
	calls map[exchange.Op]string

	// callResult classifies the error of one attempt at a call, nil if it succeeded.
	callResult func(exchange.Op, error) exchange.CallResult

	// metrics are made when a config first has the directive, so that a service that
	// is not used has no series.
	metrics func() *metrics.ServiceMetrics

	// The placeholders that a request leaves behind for logs and error pages.
	outcomeKey, userKey, codeKey string
}

// newService fills in what follows from the names.
func newService(p Service) *Service {
	prefix := "http." + p.Directive + "."
	p.outcomeKey, p.userKey, p.codeKey = prefix+"outcome", prefix+"user", prefix+"error.code"
	p.metrics = sync.OnceValue(func() *metrics.ServiceMetrics { return metrics.ForService(p.Name, p.calls) })
	return &p
}

// Huma is the service of huma_token.
var Huma = newService(Service{
	Name:      metrics.Huma,
	Directive: "huma_token",
	path:      "/private/huma-token", // which Huma's quick start uses
	calls: map[exchange.Op]string{
		exchange.OpSignIn: metrics.CallSignIn, exchange.OpSignUp: metrics.CallSignUp, exchange.OpConsent: metrics.CallConsent,
	},
	callResult: login.CallResult,

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries, redis, tls and registration rate",
	RefusalHint: "no token has been granted to this config yet: its signature, secret or ids may be the reason; " +
		"Huma has not published how calls are signed",
	UnknownUser: "Huma does not know this user, and nobody was signed up. --register would sign the user up there, with this address and no name; that cannot be taken back from here.",
})

// HumanAPI is the service of human_api_token.
var HumanAPI = newService(Service{
	Name:      metrics.HumanAPI,
	Directive: "human_api_token",
	path:      "/private/human-api-token",
	ByID:      true,
	calls:     map[exchange.Op]string{exchange.OpSession: metrics.CallSession, exchange.OpID: metrics.CallID},

	callResult: connect.CallResult,

	sharedOptions: "breaker, max_concurrent, max_waiting, max_entries and redis",
	RefusalHint:   "no token has been granted to this config yet: its client_id or client_secret may be the reason",
	UnknownUser: "Human API does not know this user, or the user has connected no source of data yet; only an id token was asked for. " +
		"--register would ask for a session token as well, which makes the user there; that cannot be taken back from here.",
	Details: map[exchange.Code]string{
		exchange.Code(identity.ReasonInvalid): "The credentials of the request are not valid, or do not name one user by an id.",
		exchange.CodeConfig:                   "The service refuses the credentials of this site; see the options client_id and client_secret.",
		exchange.CodeRejected:                 "The service refuses the request of this site as wrong; see the options api and extra_scopes.",
	},
})

// services are all there are.
var services = []*Service{Huma, HumanAPI}

// ServiceOf finds the provider of a directive.
func ServiceOf(directive string) (*Service, bool) {
	for _, p := range services {
		if p.Directive == directive {
			return p, true
		}
	}
	return nil, false
}

// DirectiveNames are the names of all directives.
func DirectiveNames() (names []string) {
	for _, p := range services {
		names = append(names, p.Directive)
	}
	return names
}

// Handler is what a directive sets up.
type Handler interface {
	caddyhttp.MiddlewareHandler
	caddyfile.Unmarshaler
}

// The place of the directives in the order is after whatever authenticates,
// forward_auth and request_header; before encode, so that tokens are not compressed
// beside what a stranger may choose; and before handle, so that a catch-all does not
// swallow them.
func init() {
	for _, s := range services {
		httpcaddyfile.RegisterDirectiveOrder(s.Directive, httpcaddyfile.After, "request_header")
	}
}

// RegisterDirective makes a directive known to the Caddyfile.
func RegisterDirective(p *Service, newHandler func() Handler) {
	httpcaddyfile.RegisterDirective(p.Directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		return parseDirective(h, p.path, newHandler())
	})
}

// parseDirective makes a route of a directive. Without a matcher it serves the
// given path; `*` is every path.
func parseDirective(h httpcaddyfile.Helper, path string, to Handler) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	matcher, given, err := h.MatcherToken()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	if given {
		h.Delete()
	} else {
		matcher = caddy.ModuleMap{"path": caddyconfig.JSON(caddyhttp.MatchPath{path}, nil)}
	}
	h.Reset()
	if err := to.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(matcher, to), nil
}
