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
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/crosssite"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/events"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/metrics"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

// Endpoint is what all token directives are: who is asking, and then the token
// that is kept for them or a new one. Whose tokens these are is its service's
// matter.
type Endpoint struct {
	Service *Service
	source  Source
	files   []string // that its options name
	common  *config.Common

	Logger   *zap.Logger
	events   *events.Emitter
	metrics  *metrics.ServiceMetrics
	cleanups lifecycle.Cleanups

	identity       *identity.Identifier
	denyCrossSite  bool
	delegateErrors bool             // to error routes
	LogHasher      *userhash.Hasher // names users in logs
	vary           []string         // placeholders of the option vary
	varyHeader     string           // the value of Vary
	Policy         exchange.Policy  // what it is for all credentials

	Account   *account.Account
	upstream  *account.Upstream
	onBreaker func(open bool)
	store     config.Store // what replicas share; nil: there are no others

	current  atomic.Pointer[credentials]
	rotation rotation

	DryRun *DryRun // nil in a server

	succeeded atomic.Bool // this config has had a token
	samples   logLimiter  // limits messages that any request can trigger
}

// Exchange is an exchange: exchange.Minter without the report.
type Exchange interface {
	Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error)
}

// allow lists the methods that the endpoint knows. HEAD is none of them: it
// would sign people in.
const allow = "GET, POST, DELETE, OPTIONS"

// statusClientClosedRequest is what access logs show of a caller who left.
const statusClientClosedRequest = 499

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next: the
// Endpoint responds to every request that the directive's matcher lets in.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) (err error) {
	e.setVary(w.Header(), r.Header)
	req := newRequest(e, r)
	defer func() {
		if v := recover(); v != nil {
			err = req.panicked(w, v)
		}
	}()
	return e.serve(w, &req)
}

// serve identifies the user of a request, gets a token for them from the cache or
// from the service, and responds with it.
func (e *Endpoint) serve(w http.ResponseWriter, req *Request) error {
	switch req.http.Method {
	case http.MethodGet, http.MethodPost, http.MethodDelete:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		return noContent(w)
	default:
		w.Header().Set("Allow", allow)
		return req.fail(w, problem.Error{Code: problem.MethodNotAllowed})
	}
	if e.denyCrossSite && crosssite.Is(req.http.Host, req.http.Header, req.byTrustedProxy) {
		return req.fail(w, problem.Error{Code: problem.CrossSite})
	}

	user, err := e.identity.Identify(req.http.Context(), &req.identityRequest)
	if err != nil {
		return req.reject(w, err)
	}
	req.User, req.key = user, req.creds.hasher.CacheKey(user)
	if req.http.Method == http.MethodDelete {
		return req.evict(w)
	}

	variant, bad := req.creds.tokens.Variant(req.http)
	if bad != "" {
		return req.fail(w, problem.Error{Code: bad})
	}
	req.kind, req.ClientType = req.variant(variant.Kind), variant.ClientType
	result := req.token()
	if e.Policy.Cache != nil {
		metrics.CountLookup(result)
	}
	return req.respond(w, result)
}

// token returns a token from the cache, from a running exchange, or from a new one.
// Most requests end here without one, and then the request does not escape to the
// heap: only an exchange, which may outlive the request, copies it.
func (q *Request) token() exchange.Result {
	lookup := exchange.Request{User: q.key, Kind: q.kind, Fresh: q.wantsFreshToken(), Since: q.start, Policy: &q.creds.Policy}
	if result, ok := lookup.Kept(time.Now()); ok {
		return result
	}
	source := *q
	lookup.Source = &source
	return q.endpoint.Account.Engine.Exchange(q.http.Context(), &lookup)
}

// Minter implements exchange.Source.
func (q *Request) Minter() exchange.Minter {
	return &loggedExchange{q.creds.tokens.Exchange(q), q.endpoint, q.creds, q.User}
}

// loggedExchange is the exchange of one user, and what is told of its end.
type loggedExchange struct {
	exchange    Exchange
	e           *Endpoint
	credentials *credentials
	user        identity.User
}

// Mint implements exchange.Minter. If the service refuses our credentials there
// may be new ones.
func (m *loggedExchange) Mint(ctx context.Context) (*exchange.Grant, exchange.Outcome, error) {
	grant, outcome, err := m.exchange.Mint(ctx)
	if err == nil || problem.Of(err).Code != exchange.CodeConfig {
		return grant, outcome, err
	}
	c := m.e.reloadIfChanged(ctx, m.credentials)
	if c == nil {
		return grant, outcome, err
	}
	m.exchange = c.tokens.RetryWith(m.exchange)
	return m.exchange.Mint(ctx)
}

// Ended implements exchange.Minter.
func (m *loggedExchange) Ended(r exchange.Result) { m.e.logEnd(m.user, r) }

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Endpoint)(nil)
	_ exchange.Minter             = (*loggedExchange)(nil)
	_ exchange.Source             = (*Request)(nil)
)
