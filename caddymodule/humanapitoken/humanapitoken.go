// Package humanapitoken implements the module http.handlers.human_api_token, which
// responds to signed-in users with tokens of Human API Connect. HumanAPIToken documents
// the options.
package humanapitoken

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-huma/caddy-huma/caddymodule/config"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/account"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/apiurl"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/connect"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/endpoint"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/exchange"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/humanapi"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/identity"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/option"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/problem"
	"github.com/caddy-huma/caddy-huma/caddymodule/internal/userhash"
)

func init() {
	caddy.RegisterModule(new(HumanAPIToken))
	endpoint.RegisterDirective(endpoint.HumanAPI, func() endpoint.Handler { return new(HumanAPIToken) })
}

// defaultAPI is the default of the option api, from Human API's guide "Start a User
// Session".
const defaultAPI = "https://auth.humanapi.co"

// The cache lifetimes of Human API's tokens.
const (
	defaultTTL   = 24 * time.Hour  // the longest lifetime of a token
	expiryMargin = 5 * time.Minute // not served from the cache this long before expiry, because a page uses the token for a while
)

// connectVariant is the prefix of Variant.Name. Session tokens and id tokens have the same
// variant, because only the service knows which type a user gets.
const connectVariant = "connect "

// CaddyModule returns the Caddy module information.
func (*HumanAPIToken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.human_api_token",
		New: func() caddy.Module { return new(HumanAPIToken) },
	}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	human_api_token [<matcher>] {
//	    # service and credentials
//	    api           <url>
//	    client_id     <id>
//	    client_secret <secret>
//	    extra_scopes  <scope...>
//	    refresh_tokens storage {
//	        encryption_keys <key...>
//	    }
//
//	    # identity of the user; cache, limits and errors
//	    ...           as in huma_token
//	}
//
// These options may not be repeated.
func (h *HumanAPIToken) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return config.Unmarshal(d, h.serviceOptions(), &h.Common)
}

// serviceOptions returns the parsers of the options that select Human API's
// authentication service and its credentials.
func (h *HumanAPIToken) serviceOptions() option.Options {
	return option.Options{
		"api":           option.Text(&h.API),
		"client_id":     h.parseClientID,
		"client_secret": option.Secret(&h.ClientSecret),
		"extra_scopes":  option.List(&h.ExtraScopes),

		"refresh_tokens": h.parseRefreshTokens,
	}
}

// parseClientID reads the client id. Unlike in huma_token, it may not be repeated.
func (h *HumanAPIToken) parseClientID(d *caddyfile.Dispenser) error {
	if h.ClientID != "" {
		return d.Err("duplicate option 'client_id': use one human_api_token for each client id")
	}
	return option.Text(&h.ClientID)(d)
}

// UnmarshalJSON sets up the handler from JSON. Like Caddy, it returns an error for an
// unknown field, but one with a suggestion.
func (h *HumanAPIToken) UnmarshalJSON(text []byte) error {
	type plain HumanAPIToken // without this method
	return option.UnmarshalJSON(text, (*plain)(h))
}

// Provision sets up the handler. It acquires the state of the account from the pools. It
// makes no calls to Human API.
func (h *HumanAPIToken) Provision(ctx caddy.Context) error {
	h.endpoint.Init(ctx, endpoint.HumanAPI, endpoint.Source{
		Settings: func(p *option.Errors) endpoint.Settings { return h.readSettings(p) },
		Names:    endpoint.AccountNames{API: cmp.Or(h.API, defaultAPI), ClientID: h.ClientID},
	}, h, &h.Common)
	var p option.Errors
	s := h.readSettings(&p)
	limits := h.endpoint.Load(ctx, defaultTTL, &p)
	h.refreshKeys = h.ReadRefreshTokenKeys(&p)
	transport := account.NewTransport(account.TLSFiles{}, limits.MaxConcurrent, &p)
	if err := p.Err(); err != nil {
		return err
	}
	if err := h.endpoint.AcquireState(ctx, []string{s.API.String(), h.ClientID, h.ClientSecret}, limits, transport); err != nil {
		return err
	}
	h.endpoint.Policy.Margin = expiryMargin
	if h.endpoint.Policy.Cache != nil {
		h.hints.Store = h.endpoint.Account.Hints.Limit(limits.MaxEntries)
	}
	if err := h.startRefreshTokens(ctx); err != nil {
		return err
	}
	return h.endpoint.Start(ctx, s)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls next.
func (h *HumanAPIToken) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	return h.endpoint.ServeHTTP(w, r, nil)
}

// Cleanup implements caddy.CleanerUpper.
func (h *HumanAPIToken) Cleanup() error {
	err := h.endpoint.Cleanup()
	if h.RefreshTokens != nil && caddy.Exiting() {
		refreshTokens.Drain()
	}
	return err
}

// SetDryRun configures the handler for a command that runs it without a server. Call
// it before Provision.
func (h *HumanAPIToken) SetDryRun(r *endpoint.DryRun) { h.endpoint.DryRun = r }

// settings implements endpoint.Settings. It holds the options of the service with
// placeholders expanded.
type settings struct {
	h *HumanAPIToken
	humanapi.Config
}

// readSettings evaluates the options of the service, and adds all their errors to p.
func (h *HumanAPIToken) readSettings(p *option.Errors) *settings {
	c := humanapi.Config{
		ClientID:     p.Text("client_id", h.ClientID),
		ClientSecret: p.Secret("client_secret", h.ClientSecret),
		ExtraScopes:  p.Texts("extra_scopes", h.ExtraScopes),
	}
	if h.ClientID == "" {
		p.Addf("client_id", "is required: set the application's client id at Human API")
	}
	if h.ClientSecret == "" {
		p.Addf("client_secret", "is required: set the application's secret as {env.NAME} or {file./path}")
	}
	for name, value := range map[string]string{
		"client_id": c.ClientID, "client_secret": c.ClientSecret.Reveal(), "extra_scopes": strings.Join(c.ExtraScopes, " "),
	} {
		if !utf8.ValidString(value) {
			p.Addf(name, "must be valid UTF-8")
		}
	}
	if slices.ContainsFunc(c.ExtraScopes, func(scope string) bool { return strings.TrimSpace(scope) == "" }) {
		p.Join(errors.New("extra_scopes: must not contain an empty scope")) // ignored if a placeholder could not be expanded
	}
	if api := p.Text("api", cmp.Or(h.API, defaultAPI)); api != "" {
		var err error
		c.API, err = apiurl.Parse(api)
		p.Add("api", err)
	}
	return &settings{h, c}
}

// CacheKey implements endpoint.Settings.
func (s *settings) CacheKey() []byte {
	return userhash.DeriveKey(s.h.endpoint.RootKey(s.ClientSecret), "token", s.h.endpoint.Service.Name, s.API.String(), s.ClientID, s.ClientSecret.Reveal())
}

// SignUpKey implements endpoint.Settings. It returns nil, because human_api_token signs
// up no users.
func (s *settings) SignUpKey() []byte { return nil }

// Fingerprint implements endpoint.Settings.
func (s *settings) Fingerprint() string {
	parts := []string{s.API.String(), s.ClientID, s.ClientSecret.Reveal()}
	return string(userhash.DeriveKey(nil, append(parts, s.ExtraScopes...)...))
}

// Tokens implements endpoint.Settings.
func (s *settings) Tokens(users *userhash.Hasher, _ exchange.SignUpLocks) endpoint.TokenSource {
	config := s.Config
	config.HTTP, config.Do = s.h.endpoint.Transport(), s.h.endpoint.Do
	config.OnRefreshToken = s.onRefreshToken()
	return &tokenSource{
		client: humanapi.New(config),
		hints:  s.h.hints,
		users:  users,
		name:   connectVariant + string(userhash.DeriveKey(nil, s.ExtraScopes...)[:8]),
	}
}

// tokenSource implements endpoint.TokenSource for Human API, with one set of
// credentials.
type tokenSource struct {
	client *humanapi.Client
	hints  connect.Hints
	users  *userhash.Hasher
	name   string // Variant.Name: depends on the scopes
}

// Variant implements endpoint.TokenSource. The request has no influence on the variant.
func (t *tokenSource) Variant(*http.Request) (endpoint.Variant, *problem.Error) {
	return endpoint.Variant{Name: t.name}, nil
}

// Exchange implements endpoint.TokenSource.
func (t *tokenSource) Exchange(q *endpoint.Request) endpoint.Exchange {
	return &connect.Exchange{
		API:       t.client,
		Hints:     t.hints,
		OnlyKnown: q.OnlyKnownUsers(),
		User:      t.users.CacheKey(q.User),
		Person:    connect.Person{ID: q.User.ID, Email: q.User.Email},
	}
}

// ReleaseHold implements endpoint.TokenSource. It does nothing, because human_api_token
// signs up no users.
func (*tokenSource) ReleaseHold(context.Context, identity.User) error { return nil }

// RetryWith implements endpoint.TokenSource.
func (t *tokenSource) RetryWith(m endpoint.Exchange) endpoint.Exchange {
	again := *m.(*connect.Exchange)
	again.API = t.client
	return &again
}

// Interface guards
var (
	_ caddy.Module                = (*HumanAPIToken)(nil)
	_ caddy.Provisioner           = (*HumanAPIToken)(nil)
	_ caddy.CleanerUpper          = (*HumanAPIToken)(nil)
	_ caddyfile.Unmarshaler       = (*HumanAPIToken)(nil)
	_ caddyhttp.MiddlewareHandler = (*HumanAPIToken)(nil)
	_ endpoint.TokenSource        = (*tokenSource)(nil)
)
