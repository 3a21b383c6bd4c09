package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/huma"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
)

func init() {
	caddy.RegisterModule(new(HumaToken))
	registerDirective(humaProvider, func() handler { return new(HumaToken) })
}

// CaddyModule returns the Caddy module information.
func (*HumaToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.huma_token",
		New: func() caddy.Module { return new(HumaToken) },
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next.
func (h *HumaToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	return h.endpoint.ServeHTTP(w, r, nil)
}

// Cleanup implements caddy.CleanerUpper.
func (h *HumaToken) Cleanup() error { return h.endpoint.Cleanup() }

// humaTokens are Huma's tokens, as they are fetched with certain credentials.
type humaTokens struct {
	handler   *HumaToken
	clients   map[exchange.ClientType]string
	fallback  exchange.ClientType // of a request that names no client type
	client    *huma.Client
	signUps   *userHasher          // names users among the registrations of this process
	lockNames *userHasher          // and of all replicas
	locks     exchange.SignUpLocks // nil: there are no others
}

// kind implements tokenService. Client types with the same client id are one
// kind: the calls for them are the same.
func (h *humaTokens) kind(r *http.Request) (kind string, of exchange.ClientType, bad exchange.Code) {
	of, err := namedClientType(r)
	switch {
	case errors.Is(err, errBody):
		return "", "", codeBodyInvalid
	case err != nil:
		return "", "", codeClientTypeUnknown
	}
	if of == "" {
		if of = h.fallback; of == "" {
			return "", "", codeClientTypeRequired
		}
	}
	if kind = h.clients[of]; kind == "" {
		return "", "", codeClientTypeUnknown
	}
	return kind, of, ""
}

// mint implements tokenService.
func (h *humaTokens) mint(q *request) mint {
	first, last := q.names()
	return &exchange.Login{
		Huma:          h.client,
		Registrations: registrations,
		Registration:  q.registrationOf(h.handler.registration),
		User:          h.signUps.key(q.user),
		Replicas:      q.replicasOf(h.lockNames.key(q.user)),
		Person: exchange.Person{
			Email:      q.user.Email,
			FirstName:  first,
			LastName:   last,
			ClientIP:   q.clientIP(),
			ClientType: q.clientType,
		},
	}
}

// releaseHold implements tokenService.
func (h *humaTokens) releaseHold(ctx context.Context, user identity.User) error {
	registrations.Release(h.signUps.key(user))
	if h.locks == nil {
		return nil
	}
	return h.locks.Unhold(ctx, h.lockNames.key(user))
}

// again implements tokenService.
func (h *humaTokens) again(m mint) mint {
	login := *m.(*exchange.Login)
	login.Huma = h.client
	return &login
}

// Interface guards
var (
	_ caddy.Module                = (*HumaToken)(nil)
	_ caddy.Provisioner           = (*HumaToken)(nil)
	_ caddy.CleanerUpper          = (*HumaToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumaToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumaToken)(nil)
	_ credentialSource            = (*HumaToken)(nil)
	_ tokenService                = (*humaTokens)(nil)
)
