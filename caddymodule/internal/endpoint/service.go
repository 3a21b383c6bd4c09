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

// Service holds the names, metrics and messages of one token API and its directive.
type Service struct {
	Name      string // in keys, logs and metrics
	Directive string // the name of the Caddyfile directive
	path      string // the path that the directive matches if it has no matcher
	ByID      bool   // users are identified by their id instead of their e-mail address

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
	path:      "/private/huma-token", // the path in Huma's quick start
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

// services lists all services.
var services = []*Service{Huma, HumanAPI}

// ServiceOf returns the service of a directive. The bool is false if the directive is not
// one of this plugin.
func ServiceOf(directive string) (*Service, bool) {
	for _, p := range services {
		if p.Directive == directive {
			return p, true
		}
	}
	return nil, false
}

// DirectiveNames returns the names of the plugin's directives.
func DirectiveNames() (names []string) {
	for _, p := range services {
		names = append(names, p.Directive)
	}
	return names
}

// Handler is the handler module of a directive.
type Handler interface {
	caddyhttp.MiddlewareHandler
	caddyfile.Unmarshaler
}

// init registers the order of the directives: after request_header, so after everything
// that authenticates, such as forward_auth; before encode, so that a token is not
// compressed together with text that an attacker chooses; and before handle, so that a
// catch-all handle does not match first.
func init() {
	for _, s := range services {
		httpcaddyfile.RegisterDirectiveOrder(s.Directive, httpcaddyfile.After, "request_header")
	}
}

// RegisterDirective registers a directive for the Caddyfile. newHandler returns an empty
// handler. Call it in init.
func RegisterDirective(p *Service, newHandler func() Handler) {
	httpcaddyfile.RegisterDirective(p.Directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		return parseDirective(h, p.path, newHandler())
	})
}

// parseDirective parses a directive into a route. Without a matcher the route matches the
// given path; with the matcher `*` it matches every path.
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
