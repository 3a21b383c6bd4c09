// Package endpoint is the HTTP endpoint of both directives: it identifies the user of a
// request, gets a token from the cache or from the service, and responds with it.
package endpoint

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/cors"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/crosssite"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/events"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/loglimit"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Endpoint is the HTTP handler behind both directives. It identifies the user of a
// request and responds with a cached or newly issued token. What is specific to a
// service is in its Service and its Source.
//
// To provision an Endpoint, call Init, Load, AcquireState and Start in this order. Call
// Cleanup when the config is unloaded, also if provisioning failed.
type Endpoint struct {
	Service *Service
	source  Source
	handler any      // the directive's config, a handler in the routes of the app
	files   []string // paths of the files that the options name
	common  *config.Common

	logger   *zap.Logger
	app      atomic.Pointer[caddyhttp.App] // nil until the config has started
	name     atomic.Pointer[string]        // see Name
	events   *events.Emitter
	metrics  *metrics.ServiceMetrics
	cleanups lifecycle.Cleanups

	identity       *identity.Identifier
	denyCrossSite  bool
	origins        []string         // the option allow_origins
	cors           *cors.Policy     // nil without the option allow_origins
	delegateErrors bool             // return errors to handle_errors instead of writing them
	LogHasher      *userhash.Hasher // names users in logs
	vary           []string         // placeholders of the option vary, without braces
	varyHeader     string           // the value of the response header Vary
	Policy         exchange.Policy  // the part that does not depend on the credentials

	Account   *account.Account
	upstream  *account.Upstream
	onBreaker func(open bool)
	store     config.Store // shared by replicas; nil: none

	current  atomic.Pointer[credentials]
	rotation rotation

	DryRun *DryRun // nil in a server

	succeeded atomic.Bool      // an exchange of this config has succeeded
	samples   loglimit.Limiter // limits messages that any request can trigger
}

// Exchange gets one token from a service. It is exchange.Exchange without Finished.
type Exchange interface {
	Run(ctx context.Context) (*exchange.Token, exchange.Outcome, error)
}

// allow is the value of the response header Allow. HEAD is not allowed, because it
// would sign users in.
const allow = "GET, POST, DELETE, OPTIONS"

// statusClientClosedRequest is the status in access logs if the client closed the
// connection before the response. It is the nonstandard 499 of nginx.
const statusClientClosedRequest = 499

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next: the Endpoint
// responds to every request that the directive's matcher matches.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) (err error) {
	e.setVary(w.Header(), r.Header)
	e.cors.SetHeaders(w.Header(), r.Header)
	req := newRequest(e, r)
	defer func() {
		if v := recover(); v != nil {
			err = req.panicked(w, v)
		}
	}()
	return e.serve(w, &req)
}

// serve identifies the user of a request, gets a token from the cache or from the
// service, and responds with it.
func (e *Endpoint) serve(w http.ResponseWriter, req *Request) error {
	switch req.http.Method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		e.cors.SetPreflight(w.Header(), req.http.Header)
		return noContent(w)
	default:
		w.Header().Set("Allow", allow)
		return req.fail(w, problem.Error{Code: problem.MethodNotAllowed})
	}
	if e.denyCrossSite && !e.cors.Allows(req.http.Header) && crosssite.Is(req.http.Host, req.http.Header, req.byTrustedProxy) {
		return req.fail(w, problem.Error{Code: problem.CrossSite})
	}

	user, err := e.identity.Identify(req.http.Context(), &req.identityRequest)
	for _, cookie := range req.identityRequest.SetCookie() {
		w.Header().Add("Set-Cookie", cookie)
	}
	if err != nil {
		return req.reject(w, err)
	}
	req.User, req.key = user, req.creds.hasher.CacheKey(user)
	if req.http.Method == http.MethodDelete {
		return req.evict(w)
	}

	variant, bad := req.creds.tokens.Variant(req.http)
	if bad != nil {
		return req.fail(w, *bad)
	}
	req.variantKey, req.ClientType = req.withVary(variant.Name), variant.ClientType
	result := req.token()
	if e.Policy.Cache != nil {
		metrics.CountLookup(result)
	}
	return req.respond(w, result)
}

// token returns a token from the cache, from a running exchange, or from a new exchange.
// In a cache hit, which most requests are, req does not escape to the heap: only an
// exchange gets a copy on the heap, because it may outlive the request.
func (req *Request) token() exchange.Result {
	lookup := exchange.Request{User: req.key, Variant: req.variantKey, Force: req.wantsFreshToken(), Since: req.start, Policy: &req.creds.Policy}
	if result, ok := lookup.Lookup(time.Now()); ok {
		return result
	}
	source := *req
	lookup.Source = &source
	return req.endpoint.Account.Engine.Exchange(req.http.Context(), &lookup)
}

// NewExchange implements exchange.Source. It returns the exchange of the request.
func (req *Request) NewExchange() exchange.Exchange {
	return &loggedExchange{req.creds.tokens.Exchange(req), req.endpoint, req.creds, req.User}
}

// loggedExchange is the exchange of one user. It logs the result, and retries once with
// reloaded credentials if the service refuses the present ones.
type loggedExchange struct {
	exchange    Exchange
	endpoint    *Endpoint
	credentials *credentials
	user        identity.User
}

// Run implements exchange.Exchange. If the service refuses the credentials, Run reloads
// them from their files and retries once if they have changed.
func (x *loggedExchange) Run(ctx context.Context) (*exchange.Token, exchange.Outcome, error) {
	token, outcome, err := x.exchange.Run(ctx)
	if err == nil || problem.Of(err).Code != exchange.CodeConfig {
		return token, outcome, err
	}
	c := x.endpoint.reloadIfChanged(ctx, x.credentials)
	if c == nil {
		return token, outcome, err
	}
	x.exchange = c.tokens.RetryWith(x.exchange)
	return x.exchange.Run(ctx)
}

// Finished implements exchange.Exchange. It logs the result.
func (x *loggedExchange) Finished(r exchange.Result) { x.endpoint.logResult(x.user, r) }

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Endpoint)(nil)
	_ exchange.Exchange           = (*loggedExchange)(nil)
	_ exchange.Source             = (*Request)(nil)
)
