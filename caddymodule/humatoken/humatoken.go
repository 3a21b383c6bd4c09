// Package humatoken implements the module http.handlers.huma_token, which responds to
// signed-in users with tokens of Huma. HumaToken documents the options.
package humatoken

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/clienttype"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/login"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

func init() {
	caddy.RegisterModule(new(HumaToken))
	endpoint.RegisterDirective(endpoint.Huma, func() endpoint.Handler { return new(HumaToken) })
}

// CaddyModule returns the Caddy module information.
func (*HumaToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.huma_token",
		New: func() caddy.Module { return new(HumaToken) },
	}
}

// UnmarshalJSON sets up the handler from JSON. Like Caddy, it returns an error for an
// unknown field, but one with a suggestion.
func (h *HumaToken) UnmarshalJSON(text []byte) error {
	type plain HumaToken // without this method
	return option.UnmarshalJSON(text, (*plain)(h))
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next.
func (h *HumaToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	return h.endpoint.ServeHTTP(w, r, nil)
}

// Cleanup implements caddy.CleanerUpper.
func (h *HumaToken) Cleanup() error { return h.endpoint.Cleanup() }

// tokenSource implements endpoint.TokenSource for Huma, with one set of credentials.
type tokenSource struct {
	handler   *HumaToken
	clients   map[login.ClientType]string
	fallback  login.ClientType // for requests without a client type; "": such requests are rejected
	client    *huma.Client
	signUps   *userhash.Hasher     // hashes users for the sign-ups of this process
	lockNames *userhash.Hasher     // hashes users for the sign-up locks of all replicas
	locks     exchange.SignUpLocks // nil: there are no other replicas
}

// Variant implements endpoint.TokenSource. Client types with the same client id share
// one variant, because the calls for them are the same.
func (h *tokenSource) Variant(r *http.Request) (endpoint.Variant, *problem.Error) {
	clientType, err := clienttype.FromRequest(r)
	if err != nil {
		return endpoint.Variant{}, err
	}
	if clientType == "" {
		if clientType = h.fallback; clientType == "" {
			return endpoint.Variant{}, &problem.Error{Code: problem.ClientTypeRequired}
		}
	}
	clientID := h.clients[clientType]
	if clientID == "" {
		return endpoint.Variant{}, &problem.Error{Code: problem.ClientTypeUnknown, Hint: "this client type has no ID"}
	}
	return endpoint.Variant{Name: clientID, ClientType: clientType}, nil
}

// Exchange implements endpoint.TokenSource.
func (h *tokenSource) Exchange(q *endpoint.Request) endpoint.Exchange {
	first, last := q.Names()
	return &login.Exchange{
		Huma:          h.client,
		Registrations: account.Registrations,
		Registration:  q.Registration(h.handler.registration),
		User:          h.signUps.CacheKey(q.User),
		Coordinator:   q.Coordinator(h.lockNames.CacheKey(q.User)),
		Person: login.Person{
			Email:      q.User.Email,
			FirstName:  first,
			LastName:   last,
			ClientIP:   q.ClientIP(),
			ClientType: q.ClientType,
		},
	}
}

// ReleaseHold implements endpoint.TokenSource.
func (h *tokenSource) ReleaseHold(ctx context.Context, user identity.User) error {
	account.Registrations.Release(h.signUps.CacheKey(user))
	if h.locks == nil {
		return nil
	}
	return h.locks.Unhold(ctx, h.lockNames.CacheKey(user))
}

// RetryWith implements endpoint.TokenSource.
func (h *tokenSource) RetryWith(m endpoint.Exchange) endpoint.Exchange {
	again := *m.(*login.Exchange)
	again.Huma = h.client
	return &again
}

// Interface guards
var (
	_ caddy.Module                = (*HumaToken)(nil)
	_ caddy.Provisioner           = (*HumaToken)(nil)
	_ caddy.CleanerUpper          = (*HumaToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumaToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumaToken)(nil)
	_ endpoint.TokenSource        = (*tokenSource)(nil)
)
